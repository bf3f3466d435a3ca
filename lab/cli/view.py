"""`lab view` and `lab compare`: look at finished runs in a browser, served on loopback."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from lab import store
from lab.cli.audience import browse_to
from lab.cli.project import RunsOption
from lab.web import PageServer

PortOption = Annotated[int, typer.Option(help="Port of the page; 0: a free one.", min=0, max=65535)]
OpenOption = Annotated[
    bool | None, typer.Option("--open/--no-open", help="Open a browser; default: if you sit here.")
]


def view_command(
    run: Annotated[
        str, typer.Argument(help="A run: its folder, its id, an experiment's name, or `latest`.")
    ] = "",
    runs: RunsOption = Path("runs"),
    port: PortOption = 0,
    *,
    browse: OpenOption = None,
) -> None:
    """Replay a run in the browser; without a run, list all of them."""
    path = f"/runs/{_run_id(runs, run)}" if run else "/runs"
    _serve(runs, port, path, browse=browse)


def compare_command(
    a: Annotated[str, typer.Argument(help="One run.")],
    b: Annotated[str, typer.Argument(help="The other.")],
    runs: RunsOption = Path("runs"),
    port: PortOption = 0,
    *,
    browse: OpenOption = None,
) -> None:
    """Show two runs beside each other on one time axis."""
    path = f"/compare?a={_run_id(runs, a)}&b={_run_id(runs, b)}"
    _serve(runs, port, path, browse=browse)


def _run_id(runs: Path, which: str) -> str:
    """The id by which the pages know a run."""
    return store.find_run(runs, which).name.rpartition("-")[2]


def _serve(runs: Path, port: int, path: str, *, browse: bool | None) -> None:
    """Serve until Ctrl-C."""
    with PageServer(runs, port) as server:
        print(f"{server.address}{path}  (Ctrl-C ends it)", flush=True)
        if sys.stdout.isatty() if browse is None else browse:
            browse_to(f"{server.address}{path}")
        ended = threading.Event()
        # By hand: a shell that starts this in the background has Python ignore Ctrl-C.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()
        print(file=sys.stderr)
