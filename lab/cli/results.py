"""`lab check` and `lab report`: work on a finished run, without any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab import report, store
from lab.checkers import check
from lab.cli.project import RunsOption
from lab.live.terminal import Terminal

RunArgument = Annotated[
    str, typer.Argument(help="A run: its folder, its id, an experiment's name, or `latest`.")
]


def check_command(run: RunArgument = "latest", runs: RunsOption = Path("runs")) -> None:
    """Judge a finished run again from its files; the exit code is that of its verdict."""
    folder = store.find_run(runs, run)
    record = check(store.load(folder))
    Terminal("none").show_result(record, folder)
    raise typer.Exit(int(record.exit_code))


def report_command(run: RunArgument = "latest", runs: RunsOption = Path("runs")) -> None:
    """Write report.html, summary.md, chart.svg, chart.png and junit.xml of a finished run again."""
    folder = store.find_run(runs, run)
    report.write(store.load(folder), folder)
    print(folder / "report.html")
