"""What a bring-up on this machine opened: shared by everything that works on a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab.engines.authority import Authority
from lab.engines.local.pipe import Pipe
from lab.engines.local.program import Program
from lab.engines.local.supervised import Supervisor
from lab.engines.talking import TalkingDriver
from lab.errors import EngineError
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.local.execution import LocalSession

_ALIVE = ("running", "paused")


@dataclass(slots=True)
class Handles:
    """What a bring-up opened, by name.

    `own` are the topology's programs of instances that were replaced;
    `jobs` end when their work is done; `pipes` are the lab's own processes, by the name under
    which their use is shown.
    """

    programs: dict[str, Program] = field(default_factory=dict)
    own: dict[str, Program] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    homes: dict[str, Path] = field(default_factory=dict)
    authority: Authority = field(default_factory=Authority)
    jobs: set[str] = field(default_factory=set)
    drivers: dict[str, TalkingDriver] = field(default_factory=dict)
    pipes: dict[str, Pipe] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    sessions: list[tuple[str, LocalSession]] = field(default_factory=list)

    async def launch(self, supervisor: Supervisor, instance: Instance) -> None:
        """Start an instance's program, for the first time or again; one that runs goes on."""
        if (await supervisor.state(instance.name)).status in _ALIVE:
            return
        try:
            await supervisor.launch(
                instance.name, self.programs[instance.name], self.logs[instance.name]
            )
        except EngineError as error:
            if (await supervisor.state(instance.name)).status not in _ALIVE:
                raise EngineError(f"{instance.name} did not start: {error.message}") from error
            # Two faults wanted it back at once, and the other was quicker.
