"""`exec`: a command is run inside a service, as somebody on call would.

For what has no kind of its own: a failover by hand, a cache that is emptied, a file that goes
missing. The command is started before its time and held back, so that it begins on time.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from lab.engines import Cluster, Ended, Executable
from lab.faults.base import LOOK_S, Observation, ServiceFault
from lab.faults.commands import Ready, in_a_line, must_succeed, run, waiting
from lab.plan import Instance
from lab.units import Seconds

Command = tuple[str, ...]


class Exec(ServiceFault):
    """A command is run inside a service, and must succeed; without `undo` its effect stays.

    It has the service's environment and files, and needs `sh` in its image.
    """

    kind: ClassVar[str] = "exec"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"service": "cache", "command": ["valkey-cli", "flushall"]}]
        }
    )
    needs: ClassVar[tuple[type, ...]] = (Executable,)

    command: Command = Field(
        min_length=1,
        description="the program and its arguments",
        examples=[["valkey-cli", "flushall"]],
    )
    undo: Command | None = Field(default=None, description="the command that heals it")
    check: Command | None = Field(
        default=None,
        description="a command that succeeds while it is in effect, and fails before and after",
    )
    expect: str | None = Field(
        default=None, description="a text in what `check` says, or without one the command itself"
    )
    user: str | None = Field(
        default=None, description="as whom to run it (docker; on local always the service's own)"
    )
    within: Seconds = Field(default=8.0, description="how long each command may take")
    _ready: Ready = PrivateAttr(default_factory=Ready)
    _begun: set[str] = PrivateAttr(default_factory=set)
    _ended: dict[str, Ended] = PrivateAttr(default_factory=dict)

    @field_validator("command", "undo", "check")
    @classmethod
    def _has_words(cls, command: Command | None) -> Command | None:
        if command is not None and not (command and command[0].strip()):
            raise ValueError("this command is empty: write the program and its arguments")
        return command

    @property
    def permanent(self) -> bool:
        """Without an undo it stays."""
        return self.undo is None

    @property
    def look_s(self) -> float:
        """A check is a command too; and this one is started before its time."""
        return 2 * LOOK_S

    def describe(self) -> str:
        """`valkey-cli flushall in cache`."""
        return f"{' '.join(self.command)} in {self.service}"

    async def get_ready(self, cluster: Cluster) -> None:
        """Start the command, held back."""
        for instance in self.instances(cluster.deployment):
            session = await waiting(cluster, instance, self.command, self.user)
            self._ready.keep(instance, session)

    async def release(self) -> None:
        """Close what was opened and not used."""
        await self._ready.close()

    async def inject(self, cluster: Cluster) -> None:
        """Let it go, and wait for its end; one that has succeeded is not run again."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._ended]
        await asyncio.gather(*(self._run(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Run `undo` where the command was begun."""
        if self.undo is None:
            return
        begun = [i for i in self.instances(cluster.deployment) if i.name in self._begun]
        await asyncio.gather(*(self._undo(cluster, i, self.undo) for i in begun))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when `check` succeeds on every instance; without one, by its own exit code."""
        instances = self.instances(cluster.deployment)
        if self.check is None:
            found = [self._ended.get(instance.name) for instance in instances]
        else:
            looks = (run(cluster, i, self.check, self.within, self.user) for i in instances)
            found = list(await asyncio.gather(*looks))
        words = sorted({_words(ended) for ended in found})
        return Observation.of(map(self._proves, found), ", ".join(words))

    async def _run(self, cluster: Cluster, instance: Instance) -> None:
        self._begun.add(instance.name)
        session = await self._ready.take(instance, "\n")
        if session is None:
            session = await waiting(cluster, instance, self.command, self.user)
            await session.write("\n")
        ended = await session.ended(self.within)
        self._ended[instance.name] = must_succeed(ended, self.command, instance)

    async def _undo(self, cluster: Cluster, instance: Instance, undo: Command) -> None:
        must_succeed(await run(cluster, instance, undo, self.within, self.user), undo, instance)
        self._begun.discard(instance.name)
        self._ended.pop(instance.name, None)

    def _proves(self, ended: Ended | None) -> bool:
        return ended is not None and ended.code == 0 and (self.expect or "") in ended.output


def _words(ended: Ended | None) -> str:
    """`exit code 0: OK`."""
    if ended is None:
        return "not run"
    said = in_a_line(ended.output)
    return f"exit code {ended.code}" + (f": {said}" if said else "")
