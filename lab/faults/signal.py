"""`signal`: a service is told something by a signal: read your configuration, open your logs anew.

To end a service, write `stop` or `kill`: those close its links too.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, PrivateAttr

from lab.engines import Cluster, Handling, Signalable
from lab.errors import EngineError
from lab.faults.base import LOOK_S, Observation, ServiceFault
from lab.plan import Instance


class Signal(ServiceFault):
    """The first process of a service gets a signal, once. What it does then is its own affair.

    Proved is that it has a handler for it, that the signal was delivered and that the process
    lives on; not what the handler did: a claim, or `check` of `exec`, must tell that.
    """

    kind: ClassVar[str] = "signal"
    model_config = ConfigDict(json_schema_extra={"examples": [{"service": "db", "signal": "HUP"}]})
    needs: ClassVar[tuple[type, ...]] = (Signalable,)

    signal: Literal["HUP", "USR1", "USR2", "WINCH"] = Field(
        default="HUP", description="which: `HUP` makes most servers reload"
    )
    _lives: dict[str, float | None] = PrivateAttr(default_factory=dict)
    """Which life of each instance was told, from injecting to healing."""

    @property
    def look_s(self) -> float:
        """A look starts a command in a container."""
        return 2 * LOOK_S

    def describe(self) -> str:
        """`HUP to proxy`."""
        return f"{self.signal} to {self.service}"

    async def prepare(self, cluster: Cluster) -> None:
        """Look whether it is caught: without a handler it would end the service, or do nothing.

        Raises:
            EngineError: it is not.
        """
        for instance in self.instances(cluster.deployment):
            if await self._look(cluster, instance) == "not caught":
                raise EngineError(
                    f"{self.describe()}: the first process of {instance.name} does not catch it",
                    remedy="choose a signal that it documents, or run a command with `exec`",
                )

    async def inject(self, cluster: Cluster) -> None:
        """Send it; an instance that was told is not told again."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._lives]
        await asyncio.gather(*(self._send(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:  # noqa: ARG002 - it was of an instant
        """Nothing: it is over at once."""
        self._lives.clear()

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when each has a handler for it, none waits, and it lives on; gone when healed.

        Where the kernel does not tell of handlers (macOS), living on must do.
        """
        instances = self.instances(cluster.deployment)
        found = await asyncio.gather(*(self._look(cluster, i) for i in instances))
        told = [i.name in self._lives for i in instances]
        proved = [t and how in ("caught", "unknown") for t, how in zip(told, found, strict=True)]
        text = ", ".join(sorted({f"{self.signal} {how}" for how in found}))
        if not any(told):
            return Observation(in_effect=False, gone=bool(told), text=f"not sent, {text}")
        return Observation.of(proved, text)

    async def _send(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Signalable)  # noqa: S101 - `needs` was checked before
        started_s = (await cluster.state(instance)).started_s
        await cluster.signal(instance, self.signal)
        self._lives[instance.name] = started_s

    async def _look(self, cluster: Cluster, instance: Instance) -> Handling | Literal["ended it"]:
        assert isinstance(cluster, Signalable)  # noqa: S101 - `needs` was checked before
        state = await cluster.state(instance)
        life = self._lives.get(instance.name, state.started_s)
        if state.status != "running" or state.started_s != life:
            return "ended it"
        return await cluster.handling(instance, self.signal)
