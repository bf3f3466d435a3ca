"""What a fault is: one thing broken, for a while, that proves it bit and knows how to undo itself.

A fault kind is one file in this folder: a frozen model with the fields of its YAML form and four
methods. `inject` and `heal` change the cluster; `observe` only looks, and is asked before, during
and after, so that "it bit" and "it is gone" are measurements and not the return code of a command.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, PrivateAttr

from lab.engines import Cluster, Probe
from lab.experiment import Model
from lab.loading.hints import nearest
from lab.plan import Deployment, Instance, LinkEnd
from lab.selection import NOTHING_FOUND, Found, ends_of_link, parse_selection
from lab.targets import ROLES, misfit
from lab.units import format_range

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


def _member(text: str) -> str:
    """A name, a pattern, or a selection with a role that somebody can find."""
    selection = parse_selection(text)
    if selection and selection.role and selection.role not in ROLES:
        near = nearest(selection.role, ROLES)
        remedy = f"{near} of {selection.service}" if near else f"one of {', '.join(ROLES)}"
        raise ValueError(f"nobody is `{selection.role}`: write {remedy}")
    return text


def _link(text: str) -> str:
    for end in ends_of_link(text)[:2]:
        _member(end)
    return text


Member = Annotated[str, AfterValidator(_member)]
"""A service, a replica, a pattern, or a selection such as `leader of etcd` and `one of app`."""

LinkText = Annotated[str, AfterValidator(_link)]
"""`client -> server`; either end may be a selection."""


class Fault(Model, ABC):
    """Base of all fault kinds. `kind` is the word in YAML, the file's name and the metric label."""

    kind: ClassVar[str]
    needs: ClassVar[tuple[type, ...]] = ()
    """Optional protocols of `lab.engines` that the cluster must offer."""
    why_needed: ClassVar[str] = ""
    """What these need of a machine, for the message that refuses the fault."""
    _found: Found = PrivateAttr(default=NOTHING_FOUND)
    """What its selections turned out to be; kept from injecting to healing."""

    in_chain: ClassVar[bool] = False
    """Whether it matters in which order it comes among others on the same link."""

    def placed(self, name: str, for_s: float) -> Self:  # noqa: ARG002 - for kinds that need it
        """The same fault, knowing how it is called in its experiment and how long it will last."""
        return self

    def course(self) -> Observation | None:
        """What was seen of a fault that changes over its time; None of one that does not."""
        return None

    def members(self) -> tuple[str, ...]:
        """The names, patterns and selections that say whom it breaks."""
        return ()

    def selections(self) -> tuple[str, ...]:
        """Those that must be made before it can be injected."""
        return tuple(text for text in dict.fromkeys(self.members()) if parse_selection(text))

    @property
    def made(self) -> bool:
        """Whether all of its selections are."""
        return all(text in self._found for text in self.selections())

    def bound(self, found: Found) -> Self:
        """The same fault with its selections made."""
        copy = self.model_copy()
        copy._found = found  # noqa: SLF001 - its own
        return copy

    def text(self) -> str:
        """`describe()`, and after each selection whom it turned out to be: `(= etcd-2)`."""
        words = self.describe()
        for text, names in self._found.items():
            pattern = rf"(?<![\w.-]){re.escape(text)}(?![\w.*?-])"
            words = re.sub(pattern, f"{text} (= {_shown(names)})", words)
        return words

    def misfits(self, deployment: Deployment) -> Iterator[tuple[str, str, str]]:
        """What makes no sense for these services: the field, what is wrong, what to do instead.

        Asked when the file is read. Here: roles that none of the services meant can ever have.
        """
        for text in self.selections():
            if why := misfit(text, deployment):
                yield (self._field_of(text), *why)

    def _field_of(self, member: str) -> str:
        """The setting that a name or a selection stands in."""
        settings = ((name, str(getattr(self, name))) for name in type(self).model_fields)
        return next(name for name, written in settings if member in written)

    @abstractmethod
    def describe(self) -> str:
        """What is broken, in a few words."""

    @abstractmethod
    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """Unique names of the link ends or instances it breaks, over all designs."""

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:
        """Targets and streams that no other fault of its kind may have at the same time.

        Two that have one would heal each other.
        """
        stream = getattr(self, "stream", "both")
        both = ("upstream", "downstream") if stream == "both" else (stream,)
        return {(target, one) for target in self.targets(deployment) for one in both}

    async def prepare(self, cluster: Cluster) -> None:
        """Before any load: look whether this cluster can host it, and start what injecting needs.

        Raises:
            LabError: it cannot, with the reason.
        """

    async def get_ready(self, cluster: Cluster) -> None:
        """Just before its time: do what takes longer than a fault may be late. Changes nothing."""

    async def release(self) -> None:
        """Let go of what was got ready and not used."""

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


def _shown(names: Iterable[str]) -> str:
    """`etcd-2` where every design has the same, else `pool/etcd-2, none/etcd-1`."""
    hosts: dict[str, set[str]] = {}
    for name in names:
        design, _, host = name.rpartition("/")
        hosts.setdefault(design, set()).add(host)
    alike = {frozenset(group) for group in hosts.values()}
    return ", ".join(sorted(alike.pop() if len(alike) == 1 else names))


class LinkFault(Fault):
    """A fault of a link; `link` is `app -> db`, `app-1 -> db` or with the port."""

    link: LinkText = Field(
        description="the link to break, as `client -> server`", examples=["app -> db"]
    )

    def members(self) -> tuple[str, ...]:
        """Both of its ends."""
        return ends_of_link(self.link)[:2]

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of its link ends."""
        return tuple(end.name for end in self.ends(deployment))

    def ends(self, deployment: Deployment) -> list[LinkEnd]:
        """Its link ends over all designs."""
        return deployment.ends_of(self.link, self._found)


class ServiceFault(Fault):
    """A fault of a service: its replicas (`app`), one (`app-2`), some (`app-*`), in all designs."""

    service: Member = Field(
        description="the service, one replica of it, a pattern, or whom to look for",
        examples=["app", "app-1", "db-*", "leader of etcd", "one of app"],
    )

    def members(self) -> tuple[str, ...]:
        """That one."""
        return (self.service,)

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of its instances."""
        return tuple(instance.name for instance in self.instances(deployment))

    def instances(self, deployment: Deployment) -> list[Instance]:
        """Its instances over all designs."""
        return deployment.instances_of(self.service, self._found)


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


def after(seen: Iterable[tuple[str, float | None]]) -> str:
    """`200 after 1.1 ms to 3 ms, silent`: each outcome once, and how many seconds it took."""
    took: dict[str, list[float]] = {}
    for outcome, seconds in seen:
        took.setdefault(outcome, []).extend([] if seconds is None else [seconds])
    words = [f"{what} after {format_range(s)}" if s else what for what, s in sorted(took.items())]
    return ", ".join(words)


def summary(probes: Sequence[Probe]) -> str:
    """`round trip 203 ms`, `silent`, `refused`; several outcomes are listed once each."""
    words = []
    answered = [probe.seconds for probe in probes if probe.outcome == "answered"]
    if answered:
        words.append(f"round trip {format_range(answered)}")
    words += sorted({probe.outcome for probe in probes} - {"answered"})
    return ", ".join(words) or "no link"
