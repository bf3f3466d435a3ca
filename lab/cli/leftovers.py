"""What runs have left anywhere: in Docker, where one answers, and on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab.engines.docker import clean as docker_clean
from lab.engines.docker.daemon import connect
from lab.engines.local import leftovers as local
from lab.errors import EngineError


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one run has left on one engine; `remove` returns what resisted, in words.

    `alive`: its process still runs. `kept`: it was left up on purpose (`lab up`).
    """

    text: str
    alive: bool
    kept: bool
    remove: Callable[[], list[str]]

    def __str__(self) -> str:
        return self.text


def leftovers(run_id: str | None = None) -> list[Leftover]:
    """Everything of one run, or of all; also what belongs to a run in progress."""
    found = [
        Leftover(str(left), left.alive, left.kept, partial(local.clean, left))
        for left in local.leftovers(run_id)
    ]
    with contextlib.suppress(EngineError):  # no Docker, nothing left in it that could be seen
        found += _in_docker(run_id)
    return found


def _in_docker(run_id: str | None) -> list[Leftover]:
    client = connect()
    return [
        Leftover(str(left), left.alive, left.kept, partial(docker_clean.clean, client, left.run_id))
        for left in docker_clean.leftovers(client, run_id)
    ]
