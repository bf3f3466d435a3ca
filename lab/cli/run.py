"""`lab run`: one experiment, from the file to the exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from lab import report, store
from lab.cli.audience import Audience, show_page, wants_page
from lab.cli.project import EngineOption, GrafanaOption, RunsOption, choose_engine, experiment_named
from lab.engines import Engine, Wanted
from lab.errors import ExitCode
from lab.experiment import Experiment
from lab.live.terminal import Terminal
from lab.loading import doubts
from lab.messages import Message, PhaseStarted
from lab.record import Record
from lab.run import run
from lab.web import PageServer

DEFAULT_EXPERIMENT = "reddit-hug"


def run_command(
    name: Annotated[
        str, typer.Argument(help="Name or file of an experiment.")
    ] = DEFAULT_EXPERIMENT,
    engine: EngineOption = "auto",
    seed: Annotated[
        int | None, typer.Option(help="Other random draws; default: the file's.")
    ] = None,
    runs: RunsOption = Path("runs"),
    progress: Annotated[str, typer.Option(help="auto, live, plain or none.")] = "auto",
    retry_unknown: Annotated[
        int, typer.Option(help="Run again this often when the verdict is unknown.", min=0, max=5)
    ] = 0,
    *,
    grafana: GrafanaOption = False,
    page: Annotated[
        bool | None,
        typer.Option("--page/--no-page", help="Serve the live page; default: for a person."),
    ] = None,
    browse: Annotated[bool, typer.Option("--open", help="Open the live page.")] = False,
    port: Annotated[
        int, typer.Option(help="Port of the live page; 0: a free one.", min=0, max=65535)
    ] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print result.json.")] = False,
) -> None:
    """Run an experiment; the exit code says how it ended (docs/results.md)."""
    experiment = experiment_named(name, seed)
    for doubt in doubts(experiment):
        print(f"warning: {doubt}", file=sys.stderr)
    chosen, reason = choose_engine(engine)
    for attempt in range(retry_unknown + 1):
        watch = Watch(progress, page or browse or wants_page(page), browse and not attempt, port)
        code = _once(
            experiment, chosen, reason, runs, watch, grafana=grafana, json_output=json_output
        )
        if code is not ExitCode.UNKNOWN or attempt == retry_unknown:
            break
        print("The run proved nothing; once more.", file=sys.stderr)
    raise typer.Exit(int(code))


def _once(
    experiment: Experiment,
    engine: Engine,
    reason: str,
    runs: Path,
    watch: Watch,
    *,
    grafana: bool,
    json_output: bool,
) -> ExitCode:
    """One run; returns its exit code."""
    run_id, folder = store.new_run(runs, experiment.name)
    wanted = Wanted(run_id, folder, grafana=grafana)
    mode = "none" if json_output and watch.progress == "auto" else watch.progress
    with ExitStack() as stack:
        stack.callback(_drop_if_empty, folder)
        terminal = stack.enter_context(Terminal(mode))
        audience = _audience(stack, terminal, runs, folder, watch)
        record = asyncio.run(_interruptible(experiment, engine, reason, wanted, terminal, audience))
        if record is None:
            print("Interrupted before the load; everything is taken down.", file=sys.stderr)
            return ExitCode.INTERRUPTED
        store.save(record, folder)
        report.write(record, folder)
    if json_output:
        print((folder / "result.json").read_text(), end="")
    else:
        terminal.show_result(record, folder)
    return record.exit_code


def _drop_if_empty(folder: Path) -> None:
    """A run that said nothing, because it was refused or interrupted before, leaves no folder."""
    with suppress(OSError):  # it holds something, or is gone already
        folder.rmdir()


@dataclass(frozen=True, slots=True)
class Watch:
    """How a run is to be shown: progress on the terminal, a page, a browser opened on it."""

    progress: str
    page: bool
    browse: bool
    port: int


def _audience(
    stack: ExitStack, terminal: Terminal, runs: Path, folder: Path, watch: Watch
) -> Audience:
    """Those who are told: with the live page where it is wanted and can be had."""
    audience = Audience(terminal, folder)
    if watch.page:
        server = PageServer(runs, watch.port, live=True, guesses=audience.guess)
        if show_page(stack, server, terminal, browse=watch.browse):
            audience.follow(server)
    return audience


async def _interruptible(
    experiment: Experiment,
    engine: Engine,
    reason: str,
    wanted: Wanted,
    terminal: Terminal,
    audience: Audience,
) -> Record | None:
    """Run with Ctrl-C and SIGTERM: once heals and reports, twice gives up and says what is left.

    Returns None when it was interrupted before any load.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loaded = False

    def emit(message: Message) -> None:
        nonlocal loaded
        loaded = loaded or isinstance(message, PhaseStarted)
        audience.emit(message)

    task = asyncio.create_task(run(experiment, engine, reason, wanted, emit, stop))

    def interrupt() -> None:
        if stop.is_set():
            audience.release()
            _give_up(wanted.run_id)
        stop.set()
        terminal.say("interrupted: healing and taking down (once more to give up)")
        if not loaded:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        with audience:
            return await task
    except asyncio.CancelledError:
        return None


def _give_up(run_id: str) -> None:
    """The second Ctrl-C: leave now. The reaper still clears up; say how to see and do it."""
    print(
        f"\nGiving up: run {run_id} may not be healed. Its reaper removes it within seconds.\n"
        f"  see what is left:  lab doctor\n"
        f"  clear it yourself: lab clean --run {run_id}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(int(ExitCode.HEALING_INCOMPLETE))
