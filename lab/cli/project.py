"""Where things are: the project's folders, experiments by name, and the engine to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.engines import Engine
from lab.engines.docker import DockerEngine
from lab.engines.docker.daemon import connect
from lab.engines.local import LocalEngine
from lab.errors import EngineError, UsageError
from lab.experiment import Experiment
from lab.faults import KINDS
from lab.loading import find_experiment, load_experiment
from lab.plan import deploy

RunsOption = Annotated[
    Path, typer.Option("--runs", help="Folder for runs.", show_default="runs", envvar="LAB_RUNS")
]
ENGINES = ("docker", "local")
EngineOption = Annotated[
    str, typer.Option("--engine", help="Where to run: auto, docker or local (no Docker needed).")
]
GrafanaOption = Annotated[
    bool, typer.Option("--grafana", help="Start Grafana beside it, with the lab's dashboards.")
]


def root() -> Path:
    """The project: the nearest folder upwards that holds `topologies/`, else this checkout."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "topologies").is_dir():
            return folder
    raise UsageError(
        "no `topologies` folder here or above", remedy="run lab inside a checkout of Chaos Lab"
    )


def experiment_named(name: str, seed: int | None = None) -> Experiment:
    """Load an experiment by name or by path of its file."""
    path = Path(name) if name.endswith((".yaml", ".yml", ".py")) else find_experiment(name, root())
    return load_experiment(path, KINDS, seed)


def choose_engine(wanted: str) -> tuple[Engine, str]:
    """The engine, and the reason for the first line of output.

    `auto` is Docker where an engine answers, and this machine itself where none does.

    Raises:
        EngineError: Docker was asked for and does not answer.
        UsageError: there is no engine of that name.
    """
    if wanted not in ("auto", *ENGINES):
        raise UsageError(f"there is no engine `{wanted}`; there are: auto, {', '.join(ENGINES)}")
    if wanted == "local":
        return LocalEngine(), "as asked"
    try:
        connect().close()
    except EngineError as error:
        if wanted == "docker":
            raise
        return LocalEngine(), error.message
    return DockerEngine(), "as asked" if wanted == "docker" else "a Docker engine answers"


def engines_for(experiment: Experiment) -> list[str]:
    """The engines that can host every service and every fault of an experiment."""
    from lab.cli.faults import engines_with
    from lab.engines.local.refusals import refusals

    needs = [ability for scheduled in experiment.faults for ability in scheduled.fault.needs]
    able = engines_with(tuple(needs))
    return [name for name in able if name != "local" or not refusals(deploy(experiment))]
