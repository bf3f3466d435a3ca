"""What a fault is: one thing broken, for a while, that proves it bit and knows how to undo itself.

A fault kind is one file in this folder: a frozen model with the fields of its YAML form and four
methods. `inject` and `heal` change the cluster; `observe` only looks, and is asked before, during
and after, so that "it bit" and "it is gone" are measurements and not the return code of a command.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Probe
from lab.experiment import Model
from lab.plan import Deployment, Instance, LinkEnd
from lab.units import format_duration

PROBE_TIMEOUT_S = 0.4
"""How long a probe waits before it calls a link silent; far above any healthy answer here."""

LOOK_S = 1.2
"""How long a look takes at most, with its probes."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a look at all targets said, and the measurement in words.

    `in_effect`: the fault is there on every target. `gone`: it is there on none. In between, a
    fault has neither bitten nor healed.
    """

    in_effect: bool
    gone: bool
    text: str

    @classmethod
    def of(cls, seen: Iterable[bool], text: str) -> Observation:
        """From whether it was seen on each target; without any target it is neither."""
        found = list(seen)
        return cls(bool(found) and all(found), bool(found) and not any(found), text)


class Fault(Model, ABC):
    """Base of all fault kinds. `kind` is the word in YAML, the file's name and the metric label."""

    kind: ClassVar[str]
    needs: ClassVar[tuple[type, ...]] = ()
    """Optional protocols of `lab.engines` that the cluster must offer."""
    why_needed: ClassVar[str] = ""
    """What these need of a machine, for the message that refuses the fault."""

    @abstractmethod
    def describe(self) -> str:
        """What is broken, in a few words."""

    @abstractmethod
    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """Unique names of the link ends or instances it breaks, over all designs."""

    @abstractmethod
    async def inject(self, cluster: Cluster) -> None:
        """Break it. Injecting twice is the same as once."""

    @abstractmethod
    async def heal(self, cluster: Cluster) -> None:
        """Undo it. Healing what is whole changes nothing."""

    @abstractmethod
    async def observe(self, cluster: Cluster) -> Observation:
        """Look whether it is in effect on every target."""

    @property
    def look_s(self) -> float:
        """How long a look takes at most when nothing is broken; so long before it is injected."""
        return LOOK_S

    @property
    def permanent(self) -> bool:
        """Whether it stays by design, so that nothing has to be proved gone."""
        return False


class LinkFault(Fault):
    """A fault of a link; `link` is `app -> db`, `app-1 -> db` or with the port."""

    link: str = Field(
        description="the link to break, as `client -> server`", examples=["app -> db"]
    )

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of its link ends."""
        return tuple(end.name for end in self.ends(deployment))

    def ends(self, deployment: Deployment) -> list[LinkEnd]:
        """Its link ends over all designs."""
        return deployment.ends_of(self.link)


class ServiceFault(Fault):
    """A fault of a service: its replicas (`app`), one (`app-2`), some (`app-*`), in all designs."""

    service: str = Field(
        description="the service, one replica of it, or a pattern",
        examples=["app", "app-1", "db-*"],
    )

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of its instances."""
        return tuple(instance.name for instance in self.instances(deployment))

    def instances(self, deployment: Deployment) -> list[Instance]:
        """Its instances over all designs."""
        return deployment.instances_of(self.service)


def refusal(fault: Fault, cluster: Cluster) -> str:
    """Why this cluster cannot host the fault; "" when it can."""
    for ability in fault.needs:
        if not isinstance(cluster, ability):
            why = f" ({fault.why_needed})" if fault.why_needed else ""
            return (
                f"{fault.describe()}: instances of the {cluster.engine} engine "
                f"are not {ability.__name__.lower()}{why}"
            )
    return ""


async def probe_all(
    cluster: Cluster, ends: Sequence[LinkEnd], timeout_s: float = PROBE_TIMEOUT_S
) -> list[Probe]:
    """Probe every link end, side by side."""
    return list(await asyncio.gather(*(cluster.probe(end, timeout_s) for end in ends)))


def summary(probes: Sequence[Probe]) -> str:
    """`round trip 203 ms`, `silent`, `refused`; several outcomes are listed once each."""
    words = []
    answered = [probe.seconds for probe in probes if probe.outcome == "answered"]
    if answered:
        low, high = format_duration(min(answered)), format_duration(max(answered))
        words.append(f"round trip {low}" if low == high else f"round trip {low} to {high}")
    words += sorted({probe.outcome for probe in probes} - {"answered"})
    return ", ".join(words) or "no link"
