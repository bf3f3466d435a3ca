"""What a service is on this engine: a program in a place. Values only.

Compose service --recipe--> Program: argv, environment, folder, healthcheck
Layout          ----------> Place:   where the instance listens, and where others are for it
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Real = Callable[[str, int], tuple[str, int]]
"""Where a port of a virtual address really is: `("127.64.7.2", 8000) -> (host, port)`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one instance runs.

    `home` is its own folder, kept over restarts, removed with the run. `own` is the virtual
    address that it listens on. `names` are the hosts that it knows, as in a container's hosts
    file: a service's name leads to one address per replica.
    """

    home: Path
    own: str
    names: Mapping[str, tuple[str, ...]]
    real: Real
    moved: Mapping[tuple[str, int], tuple[str, int]] = field(default_factory=dict)
    """Every known (address, port) for which `real` says something else than the same."""


@dataclass(frozen=True, slots=True)
class Program:
    """A process to start, and how to ask it whether it is ready.

    `env` is its whole environment. `uid` is None to stay who we are. `check` is a command that
    exits 0 when the instance is ready, run in the same folder, environment and as the same user;
    None when there is no healthcheck. `nofile` is a soft limit on open files. `stop_signal` asks
    it to end, unless the topology says otherwise.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    uid: int | None = None
    gid: int | None = None
    check: tuple[str, ...] | None = None
    nofile: int | None = None
    before: tuple[Path, ...] = field(default=())
    """Files that a killed instance may leave and that would keep the next start from working."""
    stop_signal: str = "SIGTERM"
    here: Callable[[tuple[str, ...]], tuple[str, ...]] = field(default=tuple, compare=False)
    """A command of the container as it is said on this machine: its addresses and paths."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a short command ended; `output` is stdout and stderr together."""

    code: int
    output: str


Run = Callable[[Program, float], Awaitable[Result]]
"""Runs a short command (initdb, psql, a healthcheck) for at most so many seconds."""
