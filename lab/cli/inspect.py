"""`lab list`, `lab show` and `lab plan`: look at experiments without running anything."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.cli import faults, keys
from lab.cli.project import engines_for, experiment_named, root
from lab.errors import UsageError
from lab.experiment import Experiment, ScheduledFault
from lab.faults import KINDS
from lab.loading import doubts, list_experiments, load_experiment
from lab.plan import Deployment, deploy
from lab.units import format_duration

NameArgument = Annotated[str, typer.Argument(help="Name or file of an experiment.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


def list_command(
    what: Annotated[str, typer.Argument(help="experiments, faults or keys.")] = "experiments",
    *,
    json_output: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Faults and keys: the reference page.")
    ] = False,
) -> None:
    """List the experiments, the kinds of faults, or the keys of an experiment file."""
    if what not in ("experiments", "faults", "keys"):
        raise UsageError(f"there is no list of `{what}`; there are: experiments, faults, keys")
    if markdown and what == "experiments":
        raise UsageError("experiments have no such page", remedy="write --json")
    if what == "keys":
        print(keys.as_json() if json_output else keys.as_markdown(), end="")
        return
    if what == "faults":
        _list_faults(json_output=json_output, markdown=markdown)
        return
    experiments = [load_experiment(path, KINDS) for path in list_experiments(root())]
    if json_output:
        print(json.dumps([_listed(experiment) for experiment in experiments], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("experiment", "phase", "question", "designs", "faults", "load"):
        table.add_column(column, overflow="fold")
    for experiment in experiments:
        table.add_row(
            experiment.name,
            str(experiment.phase),
            experiment.question,
            "\n".join(experiment.designs),
            "\n".join(_fault_kinds(experiment)),
            format_duration(experiment.duration_s),
        )
    Console().print(table)


def _list_faults(*, json_output: bool, markdown: bool) -> None:
    """The kinds of faults, one line each, or whole."""
    if json_output or markdown:
        print(faults.as_json() if json_output else faults.as_markdown(), end="")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("fault", "what it does", "engines", "as it is written"):
        table.add_column(column, overflow="fold")
    for kind in faults.kinds():
        table.add_row(kind.name, kind.summary, ", ".join(kind.engines), Text(kind.example))
    Console().print(table)


def show_command(name: NameArgument, *, json_output: JsonOption = False) -> None:
    """Print an experiment as it is written, or with --json as the lab understands it."""
    experiment = experiment_named(name)
    if json_output:
        print(experiment.model_dump_json(indent=2, by_alias=True))
    else:
        print(experiment.text, end="")


def plan_command(name: NameArgument, *, json_output: JsonOption = False) -> None:
    """Print what a run would start, break and check, without an engine."""
    experiment = experiment_named(name)
    deployment = deploy(experiment)
    if json_output:
        print(json.dumps(_planned(experiment, deployment), indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{experiment.name}[/]: {experiment.question}")
    for doubt in doubts(experiment):
        console.print(f"warning: {doubt}", style="yellow", markup=False)
    _print_timeline(console, experiment)
    _print_instances(console, deployment)
    _print_claims(console, experiment)


def _listed(experiment: Experiment) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "phase": experiment.phase,
        "question": experiment.question,
        "designs": list(experiment.designs),
        "faults": _fault_kinds(experiment),
        "duration_s": experiment.duration_s,
        "engines": engines_for(experiment),
    }


def _fault_kinds(experiment: Experiment) -> list[str]:
    return list(dict.fromkeys(scheduled.fault.kind for scheduled in experiment.faults))


def _planned(experiment: Experiment, deployment: Deployment) -> dict[str, Any]:
    return {
        **_listed(experiment),
        "warnings": doubts(experiment),
        "phases": [phase.model_dump() for phase in experiment.phases],
        "instances": [
            {"name": i.name, "what": i.service.what, "design": i.design or None}
            for i in deployment.instances
        ],
        "links": [end.name for end in deployment.ends],
        "faults": [
            {
                "name": f.name,
                "what": f.fault.describe(),
                "at_s": f.at_s,
                "until_s": f.until_s,
                "when": str(f.when) if f.when else None,
                "within_s": f.within_s,
                "until": str(f.until) if f.until else None,
                "for_s": f.for_s,
                "targets": list(f.fault.targets(deployment)),
            }
            for f in experiment.faults
        ],
    }


def _print_timeline(console: Console, experiment: Experiment) -> None:
    console.print("\n[bold]timeline[/]")
    for phase in experiment.phases:
        console.print(f"  {phase.start_s:5.1f} s  {phase.name}")
        for fault in experiment.faults:
            if phase.start_s <= fault.at_s < phase.end_s:
                text = f"⚡ {fault.fault.describe()}, {_times(fault)}"
                console.print(f"  {fault.at_s:5.1f} s    {text}", markup=False)
    console.print(f"  {experiment.duration_s:5.1f} s  load off")


def _times(fault: ScheduledFault) -> str:
    """When it ends, and what it waits for, each with its cap."""
    if fault.fault.permanent:
        end = "stays"
    elif fault.until:
        end = f"until {fault.until}, {format_duration(fault.for_s)} at most"
    elif fault.when and fault.last_s is None:
        end = f"for {format_duration(fault.for_s)}"
    else:
        end = f"until {fault.until_s:.1f} s"
    if fault.when is None:
        return end
    if fault.until and fault.last_s is not None:
        end = f"until {fault.until}, {fault.last_s:.1f} s at the latest"
    return f"when {fault.when} within {format_duration(fault.within_s)}, {end}"


def _print_instances(console: Console, deployment: Deployment) -> None:
    console.print(f"\n[bold]instances[/] ({len(deployment.instances)}, and the lab's own)")
    for instance in deployment.instances:
        console.print(f"  {instance.name}  ({instance.service.what})")
    console.print(f"\n[bold]links[/] ({len(deployment.ends)}, one proxy each)")
    for end in deployment.ends:
        console.print(f"  {end.name}")


def _print_claims(console: Console, experiment: Experiment) -> None:
    console.print("\n[bold]predictions[/]")
    for name, design in experiment.designs.items():
        console.print(f"  {name}")
        for side in ("holds", "breaks", "pays"):
            for claim in getattr(design, side):
                console.print(f"    {side:6}  {claim}")
