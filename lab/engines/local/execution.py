"""Commands beside an instance: its environment, folder, user and addresses."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.engines import Ended, Handling
from lab.engines.local.supervised import Supervisor
from lab.engines.local.watch import exit_code
from lab.engines.signals import handling
from lab.errors import EngineError
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.local.handles import Handles

_AT_ONCE_S = 0.0


class LocalSession:
    """`lab.engines.Session`; what the command used counts as used by the instance."""

    def __init__(self, supervisor: Supervisor, name: str, key: str) -> None:
        self._supervisor = supervisor
        self._name = name
        self._key: str | None = key

    @property
    def is_open(self) -> bool:
        """Whether nobody has ended it."""
        return self._key is not None

    async def write(self, text: str) -> None:
        """Put text into its standard input."""
        if self._key is None:
            raise EngineError(f"the command in {self._name} has ended")
        await self._supervisor.write(self._key, text)

    async def ended(self, timeout_s: float) -> Ended:
        """Wait for its end; nothing that it started stays."""
        key, self._key = self._key, None
        if key is None:
            raise EngineError(f"the command in {self._name} has ended")
        result = await self._supervisor.wait(key, timeout_s)
        return Ended(exit_code(result.code) or 0, result.output)

    async def close(self) -> None:
        """End it: a process here has no container around it that would take it along."""
        with contextlib.suppress(EngineError):
            await self.ended(_AT_ONCE_S)


class Execution:
    """`lab.engines.Executable` and `Signalable`; a part of the cluster."""

    _supervisor: Supervisor
    _handles: Handles

    async def execute(
        self,
        instance: Instance,
        command: Sequence[str],
        user: str | None = None,  # noqa: ARG002 - a process here cannot become another user
    ) -> LocalSession:
        """Start a command as the instance's own user."""
        state = await self._supervisor.state(instance.name)
        if state.status != "running":
            raise EngineError(f"`{' '.join(command)}`: {instance.name} does not run")
        program = self._handles.programs[instance.name]
        there = replace(program, argv=program.here(tuple(command)))
        key = await self._supervisor.open(there, instance.name)
        session = LocalSession(self._supervisor, instance.name, key)
        self._handles.sessions.append((instance.name, session))
        return session

    async def signal(self, instance: Instance, word: str) -> None:
        """To its first process."""
        await self._supervisor.signal(instance.name, word)

    async def handling(self, instance: Instance, word: str) -> Handling:
        """From the kernel where it tells, which is on Linux."""
        return handling(await self._supervisor.status(instance.name), word)

    def _commands_left(self) -> list[str]:
        """Commands that nobody has ended."""
        sessions = self._handles.sessions
        sessions[:] = [one for one in sessions if one[1].is_open]
        return [f"{name}: a command of the lab still runs in it" for name, _ in sessions]
