"""`lab up`, `lab down`, `lab clean` and `lab doctor`: the machine and what runs on it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.leftovers import Leftover, leftovers
from lab.cli.project import EngineOption, GrafanaOption, choose_engine, root
from lab.doctor import examine
from lab.engines import Engine, Wanted
from lab.errors import ExitCode, HealError
from lab.loading import find_topology, load_topology
from lab.plan import Deployment, deploy_topology

RunOption = Annotated[str | None, typer.Option("--run", help="Only what this run id left.")]


def up_command(
    topology: Annotated[str, typer.Argument(help="Name of a topology.")] = "url-shortener",
    engine: EngineOption = "auto",
    *,
    grafana: GrafanaOption = False,
) -> None:
    """Bring a topology up with its proxies and keep it; `lab down` takes it down."""
    chosen, _ = choose_engine(engine)
    deployment = deploy_topology(load_topology(find_topology(topology, root()), topology))
    run_id = secrets.token_hex(4)
    for name, address in asyncio.run(
        _bring_up(chosen, deployment, run_id, grafana=grafana)
    ).items():
        print(f"{name:12} {address}")
    print(f"\ntake it down: lab down --run {run_id}   (or all: lab down)")


async def _bring_up(
    engine: Engine, deployment: Deployment, run_id: str, *, grafana: bool
) -> dict[str, str]:
    """Leave everything running; returns the addresses on this machine."""
    wanted = Wanted(run_id, Path("runs"), drivers=False, keep=True, grafana=grafana)
    async with engine.up(deployment, wanted, lambda text: print(text, file=sys.stderr)) as cluster:
        return cluster.addresses()


def down_command(run: RunOption = None) -> None:
    """Take down what `lab up` keeps."""
    _remove([left for left in leftovers(run) if left.kept], "nothing is up")


def clean_command(run: RunOption = None) -> None:
    """Remove everything the lab left in Docker and on this machine, but not a run in progress.

    Images stay: they make the next start quick.
    """
    _remove([left for left in leftovers(run) if run or not left.alive], "nothing to remove")


def _remove(found: Sequence[Leftover], nothing: str) -> None:
    """Remove these, say which, and fail when something resists."""
    troubles = []
    for left in found:
        troubles += left.remove()
        print(f"removed {left}")
    if not found:
        print(nothing)
    if troubles:
        raise HealError("could not be removed: " + "; ".join(troubles))


def doctor_command() -> None:
    """Say what this machine has and lacks, and the exact command that mends it."""
    fine = True
    for finding in examine():
        glyph = "✓" if finding.fine else "✗" if finding.needed else "!"
        print(f"{glyph} {finding.what}: {finding.detail}")
        if not finding.fine and finding.remedy:
            print(f"    -> {finding.remedy}")
        fine = fine and (finding.fine or not finding.needed)
    raise typer.Exit(int(ExitCode.AS_PREDICTED if fine else ExitCode.ENVIRONMENT))
