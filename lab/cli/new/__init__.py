"""`lab new`: a file to start from, that is valid and runs as it is."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.new.experiment import experiment_text
from lab.cli.new.topology import topology_files
from lab.cli.project import root
from lab.errors import UsageError

WHAT = ("experiment", "topology")
_NAME = re.compile(r"[a-z][a-z0-9-]*")


def new_command(
    what: Annotated[str, typer.Argument(help="experiment or topology.")],
    name: Annotated[str, typer.Argument(help="Small letters, digits and dashes.")],
    topology: Annotated[
        str, typer.Option("--topology", help="What the experiment runs on.")
    ] = "url-shortener",
    link: Annotated[
        str | None, typer.Option("--link", help="What it breaks; default: the first link inside.")
    ] = None,
) -> None:
    """Write a new experiment or topology to start from: commented, valid, and it runs at once."""
    if what not in WHAT:
        raise UsageError(f"there is no new `{what}`; there are: {', '.join(WHAT)}")
    if not _NAME.fullmatch(name):
        raise UsageError(f"`{name}` is no name", remedy="write small letters, digits and dashes")
    if what == "experiment":
        path = Path("experiments") / f"{name}.yaml"
        files = {root() / path: experiment_text(name, topology, link, root())}
        then = [f" plan {name}", f" run {name}"]
    else:
        folder = root() / "topologies" / name
        files = {folder / file: text for file, text in topology_files(name).items()}
        then = [f" new experiment break-{name} --topology {name}", f" run break-{name}"]
    _write(files)
    print("\nnext:")
    for command in then:
        print(f"  {_called()}{command}")


def _called() -> str:
    """How `lab` is called from here: by its name where that is found, else by its path."""
    if shutil.which("lab"):
        return "lab"
    program = Path(sys.argv[0])
    inside = program.is_absolute() and program.is_relative_to(Path.cwd())
    return str(program.relative_to(Path.cwd())) if inside else str(program)


def _write(files: dict[Path, str]) -> None:
    """All of them, or none: nothing of anybody's is overwritten."""
    for path in files:
        if path.exists():
            raise UsageError(f"{path} is there already", remedy="choose another name")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
