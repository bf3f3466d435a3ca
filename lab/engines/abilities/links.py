"""What a cluster may be able to do on the way between services: names, requests, packets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # small processes of an engine start quicker without the whole language of files
    from lab.plan import Instance, LinkEnd
    from lab.proxies import Stream, Way
    from lab.proxies.striking import Attempt, HttpRule, Strikes


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What is wrong with the answers to questions for a name (DNS).

    They say `rcode` (`NXDOMAIN`, `SERVFAIL`), do not come at all (`silent`), name an address at
    which nobody is any more (`stale`), or come `delay_s` late.
    """

    rcode: str | None = None
    silent: bool = False
    stale: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a name server; `rcode` is None when none came. `is_right`: as it should be."""

    rcode: str | None
    addresses: tuple[str, ...]
    is_right: bool
    seconds: float


@runtime_checkable
class Resolvable(Protocol):
    """Instances that the plan names for it find others by DNS, and can be answered wrongly."""

    async def spoil_names(
        self, instances: Sequence[Instance], name: str, why: str, spoiling: Spoiling
    ) -> None:
        """Answer these instances' questions for a name wrongly, in the name of `why`.

        Raises:
            InjectionError: one of them does not use DNS.
        """
        ...

    async def mend_names(self, instances: Sequence[Instance], name: str, why: str) -> None:
        """Answer rightly again, if nobody else wants otherwise."""
        ...

    async def look_up(self, instance: Instance, name: str, timeout_s: float) -> Answer:
        """Ask for a name as that instance would."""
        ...

    async def lookups(self, instances: Sequence[Instance], name: str, why: str) -> tuple[int, int]:
        """How often these instances looked it up since they are up, and how often `why` hit."""
        ...


@runtime_checkable
class Interceptable(Protocol):
    """Single HTTP requests of a link can be struck, on links that the plan names for it."""

    async def strike(self, rules: Mapping[str, HttpRule]) -> None:
        """Strike requests from now on, by one rule on each of these link ends (`LinkEnd.name`).

        A rule that is on already stays, with its counts.

        Raises:
            InjectionError: nothing that knows HTTP is in the path of one of them.
        """
        ...

    async def spare(self, ends: Sequence[LinkEnd], rule: str) -> None:
        """Strike by the rule of that name no more; sparing what is not struck changes nothing."""
        ...

    async def strikes(self, ends: Sequence[LinkEnd], rule: str) -> dict[str, Strikes | None]:
        """What a rule has counted, by link end; still there once it is off, None before."""
        ...

    async def attempt(self, end: LinkEnd, pretends: str | None, timeout_s: float) -> Attempt:
        """One harmless request over a link, from the client's side of its proxy.

        With `METHOD PATH RULE`, that rule, if it is on, takes it for one that it is about and
        strikes it, uncounted; to the server it is the same harmless request.
        """
        ...


@runtime_checkable
class Resettable(Protocol):
    """Connections of a link that are open can be reset, idle ones as well."""

    async def reset(self, ends: Sequence[LinkEnd]) -> None:
        """Both of their ends see a reset at once; connections opened later are not touched."""
        ...


@runtime_checkable
class Partitionable(Protocol):
    """Packets of a link can be dropped; established connections stall and go on after healing."""

    async def cut(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Drop every packet of these link ends; cutting what is cut changes nothing.

        One way: `upstream` drops what clients send, `downstream` what servers send. New
        connections hang with either; those there are still carry bytes the other way. It lasts for
        as long as it is wanted in anybody's name (`why`).
        """
        ...

    async def mend(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Stop dropping in that name; mending what is whole changes nothing."""
        ...

    async def cuts(self) -> Mapping[str, Sequence[str]]:
        """In whose names link ends are cut, by `LinkEnd.name`: the word of whoever drops."""
        ...

    async def passing(self, end: LinkEnd, timeout_s: float = 1.0) -> frozenset[Stream]:
        """The streams in which something sent now does arrive, past toxics and new connections."""
        ...
