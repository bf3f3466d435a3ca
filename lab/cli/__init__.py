"""The command line: thin. Every command parses, calls one thing of the lab, and prints.

Expected errors become one message and an exit code; only a bug of ours shows a traceback.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lab import __version__
from lab.cli import cluster, inspect, new, results, run, view
from lab.errors import LabError

app = typer.Typer(
    name="lab",
    help="See how a system design fails, beside the design that does not.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run_command)
app.command("list")(inspect.list_command)
app.command("show")(inspect.show_command)
app.command("plan")(inspect.plan_command)
app.command("new")(new.new_command)
app.command("view")(view.view_command)
app.command("compare")(view.compare_command)
app.command("check")(results.check_command)
app.command("report")(results.report_command)
app.command("up")(cluster.up_command)
app.command("down")(cluster.down_command)
app.command("clean")(cluster.clean_command)
app.command("doctor")(cluster.doctor_command)


@app.callback(invoke_without_command=True)
def _root(*, version: Annotated[bool, typer.Option("--version", help="Print it.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point of `lab`."""
    try:
        app()
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(int(error.exit_code))
