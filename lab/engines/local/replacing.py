"""Replacing a process tree by a new one with another environment, in the same folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from lab.engines import Life, Version
from lab.engines.local.layout import Layout
from lab.engines.local.supervised import Supervisor
from lab.engines.local.watch import Watch
from lab.errors import EngineError, LabError
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.local.handles import Handles


class Replacing:
    """`lab.engines.Replaceable`, as far as processes can be; a part of the cluster."""

    layout: Layout
    _supervisor: Supervisor
    _watch: Watch
    _handles: Handles
    _turns: defaultdict[str, asyncio.Lock]

    if TYPE_CHECKING:

        async def start(self, instance: Instance) -> None: ...  # noqa: D102
        async def _stop(self, instance: Instance, grace_s: float) -> None: ...

    async def provide(self, instance: Instance, version: Version) -> None:
        """Refuse what is decided before a process is started here."""
        if version.image:
            raise EngineError(
                f"{instance.name} cannot get another image: a process here has none",
                remedy="run it with Docker: --engine docker",
            )
        if version.moved:
            raise EngineError(
                f"{instance.name} cannot get another address: its own is in every file it was "
                "given, and in those of its clients",
                remedy="run it with Docker: --engine docker",
            )

    async def replace(
        self, instance: Instance, version: Version, grace_s: float, *, ready: bool = True
    ) -> None:
        """Stop it and start it with the new environment; its values are taken as written."""
        await self.provide(instance, version)
        programs = self._handles.programs
        async with self._turns[instance.name]:
            await self._stop(instance, grace_s)
            own = self._handles.own.setdefault(instance.name, programs[instance.name])
            environment = {**own.env, **version.environment}
            programs[instance.name] = replace(own, env=environment)
        if ready:
            await self.start(instance)
        else:
            await self._handles.launch(self._supervisor, instance)
            self._watch.spawn(self._come_up(instance))

    async def _come_up(self, instance: Instance) -> None:
        """Open the links into one that was started, when it is ready; if not, that is residue."""
        with contextlib.suppress(LabError):
            await self.start(instance)

    async def life(self, instance: Instance) -> Life:
        """What the kernel says of its first process; some programs write over their environment."""
        found = await self._supervisor.life(instance.name)
        return Life(
            number=str(found["pid"]),
            started_s=found["started_s"],
            environment=found["environment"],
            image="",
            address=self.layout.instances[instance.name],
        )
