"""Failpoints of services that run as processes: what the shared part needs of this engine."""

from __future__ import annotations

from lab.engines.failpoints import Failpoints
from lab.engines.local.supervised import Supervisor
from lab.engines.local.watch import Watch
from lab.plan import Instance


class Failing(Failpoints):
    """`lab.engines.Armable`."""

    _supervisor: Supervisor
    _watch: Watch

    async def _wake(self, instance: Instance) -> None:
        await self._supervisor.resume(instance.name)

    def _excuse(self, instance: Instance, *, excused: bool) -> None:
        change = self._watch.excused.add if excused else self._watch.excused.discard
        change(instance.name)
