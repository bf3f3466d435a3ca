"""`certificate`: a service gets another TLS certificate, one that clients who look must refuse.

Connections that are open go on as before: a certificate is looked at when a connection is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from lab.engines import Certified, Cluster, Flaw, Handshake, Outcome, Signalable
from lab.errors import EngineError
from lab.faults.base import LOOK_S, Observation, ServiceFault
from lab.plan import Deployment, Instance
from lab.units import Seconds, format_duration

_SHAKES_S = 0.8
"""How long a TLS handshake may take: two round trips, and the server's signature."""

_MEANT: dict[Flaw, Outcome] = {
    "expired": "expired",
    "wrong_name": "wrong name",
    "unknown_ca": "unknown authority",
}
_UNITS_S = {"d": 86_400, "h": 3600, "min": 60}


class Certificate(ServiceFault):
    """A service serves a certificate that does not verify, or that soon will not any more.

    The pair is written into the folder of `x-lab.certificates`, and the service is told to load it
    by a signal. Proved by a TLS handshake over each link that speaks TLS, verified by OpenSSL
    against the run's authority and the service's name. Healing brings back the pair from before.
    """

    kind: ClassVar[str] = "certificate"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"service": "inventory", "becomes": "expired"},
                {"service": "inventory", "lifetime": "5s"},
            ]
        }
    )
    needs: ClassVar[tuple[type, ...]] = (Certified, Signalable)

    becomes: Flaw | None = Field(default=None, description="what is wrong with it from the start")
    lifetime: Seconds | None = Field(
        default=None,
        ge=1,
        description="or how long a good one still has; after that it has expired",
        examples=["5s"],
    )
    signal: Literal["HUP", "USR1", "USR2", "none"] = Field(
        default="HUP",
        description="what tells the service to load it; `none` where it looks by itself",
    )
    _given: set[str] = PrivateAttr(default_factory=set)
    """Instances that may have the bad pair, so that each gets it once and back once."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.becomes is None) == (self.lifetime is None):
            raise ValueError("write either `becomes` or `lifetime`")
        return self

    @property
    def look_s(self) -> float:
        """A look is two handshakes, and a command in a container before it."""
        return 2 * LOOK_S

    def describe(self) -> str:
        """`certificate of inventory expired`, or `certificate of inventory with 5 s to live`."""
        if self.lifetime is not None:
            return f"certificate of {self.service} with {format_duration(self.lifetime)} to live"
        words = {"expired": "expired", "wrong_name": "for another name"}
        how = words.get(self.becomes or "", "of an unknown authority")
        return f"certificate of {self.service} {how}"

    def misfits(self, deployment: Deployment) -> Iterator[tuple[str, str, str]]:
        """Services without a certificate: the field, what is wrong, what to write."""
        for name in dict.fromkeys(
            one.service.name for one in self.instances(deployment) if not one.service.certificates
        ):
            hint = f"add x-lab.certificates: {{{name}: /certs}} to its topology"
            yield "service", f"`{name}` has no certificate", hint

    async def prepare(self, cluster: Cluster) -> None:
        """Look whether it serves a good one now, and whether it would live through the signal.

        Raises:
            EngineError: it does not.
        """
        assert isinstance(cluster, Signalable)  # noqa: S101 - `needs` was checked before
        for instance in self.instances(cluster.deployment):
            if not any(seen.outcome == "verifies" for seen in await _shakes(cluster, instance)):
                raise EngineError(
                    f"{self.describe()}: no link into {instance.name} finds a certificate there "
                    "that verifies",
                    remedy="name a link to the port that speaks TLS, and serve what lies in "
                    f"{instance.service.certificates}",
                )
            if self.signal == "none":
                continue
            if await cluster.handling(instance, self.signal) == "not caught":
                raise EngineError(
                    f"{self.describe()}: {instance.name} does not catch {self.signal}, which "
                    "would end it",
                    remedy="choose the `signal` that makes it load certificates, or none",
                )

    async def inject(self, cluster: Cluster) -> None:
        """Give each the bad pair, and tell it."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._given]
        await asyncio.gather(*(self._spoil(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Give each its own pair back, and tell it; one that is down finds it when it starts."""
        instances = [i for i in self.instances(cluster.deployment) if i.name in self._given]
        await asyncio.gather(*(self._restore(cluster, i) for i in instances))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when no handshake verifies, for the reason that was meant.

        Gone when all do with the pair from before; of one that does not answer its files must tell.
        """
        instances = self.instances(cluster.deployment)
        seen = await asyncio.gather(*(self._look(cluster, i) for i in instances))
        return Observation(
            in_effect=bool(seen) and all(bad for bad, _, _ in seen),
            gone=bool(seen) and all(gone for _, gone, _ in seen),
            text=", ".join(dict.fromkeys(text for _, _, text in seen)),
        )

    async def _spoil(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Certified)  # noqa: S101 - `needs` was checked before
        self._given.add(instance.name)
        await cluster.certify(instance, self.becomes, self.lifetime)
        await self._tell(cluster, instance)

    async def _restore(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Certified)  # noqa: S101 - `needs` was checked before
        await cluster.certify(instance)
        await self._tell(cluster, instance)
        self._given.discard(instance.name)

    async def _tell(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Signalable)  # noqa: S101 - `needs` was checked before
        if self.signal != "none" and (await cluster.state(instance)).status == "running":
            await cluster.signal(instance, self.signal)

    async def _look(self, cluster: Cluster, instance: Instance) -> tuple[bool, bool, str]:
        """Of one instance: whether it is as meant, whether it is as before, and in words."""
        assert isinstance(cluster, Certified)  # noqa: S101 - `needs` was checked before
        seen = await _shakes(cluster, instance)
        text = ", ".join(dict.fromkeys(map(_said, seen))) or "no TLS"
        served = [one for one in seen if one.outcome != "no answer"]
        if not served:
            return False, await cluster.own_certificate_lies(instance), text
        meant = _MEANT[self.becomes or "expired"]
        bad = all(one.outcome == meant for one in served)
        return bad, all(one.outcome == "verifies" and one.is_own for one in served), text


async def _shakes(cluster: Cluster, instance: Instance) -> list[Handshake]:
    """A handshake over every link into an instance; links that speak no TLS are left out."""
    assert isinstance(cluster, Certified)  # noqa: S101 - `needs` was checked before
    ends = cluster.deployment.ends_into(instance)
    found = await asyncio.gather(*(cluster.handshake(end, _SHAKES_S) for end in ends))
    return [one for one in found if one.outcome != "no TLS"]


def _said(seen: Handshake) -> str:
    """`verifies, 29 d left`, `expired 3 s ago`, `wrong name`."""
    if seen.left_s is None or seen.outcome not in ("verifies", "expired"):
        return seen.outcome
    for unit, unit_s in _UNITS_S.items():
        if abs(seen.left_s) >= 2 * unit_s:
            span = f"{int(abs(seen.left_s) // unit_s)} {unit}"
            break
    else:
        span = format_duration(abs(seen.left_s))
    return f"verifies, {span} left" if seen.outcome == "verifies" else f"expired {span} ago"
