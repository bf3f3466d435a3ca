"""Control of the proxies that links run through: Toxiproxy's model, whoever implements it.

A *toxic* is Toxiproxy's word for one change to the bytes of a proxy, `upstream` (towards the
server) or `downstream` (towards the client). docs: https://github.com/Shopify/toxiproxy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Stream = Literal["upstream", "downstream"]
Way = Literal["both", "upstream", "downstream"]


def streams(way: Way) -> frozenset[Stream]:
    """The streams that a way means."""
    return frozenset({"upstream", "downstream"} if way == "both" else {way})


@dataclass(frozen=True, slots=True)
class ProxySpec:
    """One proxy. `listen` and `upstream` are `host:port`."""

    name: str
    listen: str
    upstream: str


@dataclass(frozen=True, slots=True)
class Toxic:
    """One toxic; attributes are Toxiproxy's own names and units (milliseconds, bytes, KB/s)."""

    name: str
    kind: str
    stream: Stream
    attributes: Mapping[str, int] = field(default_factory=dict)
    toxicity: float = 1.0


class Proxies(Protocol):
    """Control plane of one proxy server.

    Every call has a deadline of its own and raises `lab.errors.EngineError` when it is missed.
    Calls are coroutines and safe to run side by side for different proxies.
    """

    async def version(self) -> str:
        """The server's version."""
        ...

    async def create(self, proxies: Sequence[ProxySpec]) -> None:
        """Create these proxies, enabled, without toxics."""
        ...

    async def add(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic; adding one of the same name again replaces it."""
        ...

    async def remove(self, proxy: str, toxic: str) -> None:
        """Remove a toxic; removing one that is not there changes nothing.

        Where the server hangs because a peer does not read, connections are closed to get it off.
        """
        ...

    async def set_enabled(self, proxy: str, enabled: bool, why: str = "") -> None:  # noqa: FBT001
        """A disabled proxy refuses connections and closes the ones it has.

        It stays disabled for as long as anybody has a reason to: enabling takes back one's own.
        """
        ...

    async def toxics(self) -> dict[str, list[Toxic]]:
        """All toxics in force, by proxy; proxies without any are left out."""
        ...

    async def disabled(self) -> list[str]:
        """Names of the proxies that are disabled."""
        ...
