"""Failpoints of services in containers: what the shared part needs of this engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.engines.docker.daemon import Daemon
from lab.engines.docker.deaths import Deaths
from lab.engines.failpoints import Failpoints
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles

_GO_ON = ["sh", "-c", "kill -CONT -1"]


class Failing(Failpoints):
    """`lab.engines.Armable`."""

    _daemon: Daemon
    _handles: Handles
    _deaths: Deaths | None

    async def _wake(self, instance: Instance) -> None:
        """From inside: a signal by way of the daemon would end the container's restart policy.

        (moby, daemon/kill.go: any signal counts as stopping it by hand.)
        """
        api, container = self._daemon.api, self._handles.containers[instance.name]
        created = await self._daemon.call(api.exec_create, container, _GO_ON, user="root")
        await self._daemon.call(api.exec_start, created["Id"])

    def _excuse(self, instance: Instance, *, excused: bool) -> None:
        if self._deaths:
            change = self._deaths.excused.add if excused else self._deaths.excused.discard
            change(instance.name)
