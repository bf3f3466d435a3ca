"""What faults made of toxics have in common: put on every end of a link, taken off again."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import PrivateAttr

from lab.engines import Cluster, Exchange
from lab.faults.base import PROBE_TIMEOUT_S, LinkFault
from lab.plan import LinkEnd
from lab.proxies import Stream, Toxic
from lab.units import format_byte_rate, format_range

SEEN_S = 0.25
"""How long a long try should take while a fault slows it down: well above what is usual here."""

SEEN_MIN_BYTES, SEEN_MAX_BYTES = 1_000, 64_000
"""What a long try carries at least and at most: it must not become a load of its own."""

_TOLERANCE = 1.25
"""A rate counts as kept up to this: a toxic lets the first bytes pass at once."""

_LONGER = 6


class ToxicFault(LinkFault):
    """A link fault that is one toxic or several."""

    in_chain: ClassVar[bool] = True

    _name: str = PrivateAttr(default="")
    _for_s: float | None = PrivateAttr(default=None)

    def placed(self, name: str, for_s: float) -> Self:
        """With toxics of its own: two faults of a kind may be on a link where they add up."""
        copy = self.model_copy()
        copy._name, copy._for_s = name, for_s  # noqa: SLF001 - its own
        return copy

    def called(self, stream: Stream) -> str:
        """The name of its toxic in that stream, unique among all faults, over both streams."""
        return f"lab-{self._name or self.kind}-{stream}"

    @abstractmethod
    def toxics(self) -> Sequence[Toxic]:
        """Its toxics; their names are `called(stream)`, and begin with that if there are more."""

    async def inject(self, cluster: Cluster) -> None:
        """Add them to every end of the link at once."""
        for toxic in self.toxics():
            ends = self.ends(cluster.deployment)
            await asyncio.gather(*(cluster.proxies.add(end.proxy, toxic) for end in ends))

    async def heal(self, cluster: Cluster) -> None:
        """Remove them."""
        for toxic in self.toxics():
            ends = self.ends(cluster.deployment)
            await asyncio.gather(*(cluster.proxies.remove(end.proxy, toxic.name) for end in ends))


async def exchange_all(
    cluster: Cluster,
    ends: Sequence[LinkEnd],
    stream: Stream = "downstream",
    size_bytes: int = 1,
    longer_s: float = 0.0,
) -> list[Exchange]:
    """A long try of every link end, side by side."""
    timeout_s = PROBE_TIMEOUT_S + longer_s
    tries = (cluster.exchange(end, stream, size_bytes, timeout_s) for end in ends)
    return list(await asyncio.gather(*tries))


def seen_bytes(rate_per_s: float) -> int:
    """How much a long try carries, to take about `SEEN_S` at that rate in bytes per second."""
    return round(min(max(rate_per_s * SEEN_S, SEEN_MIN_BYTES), SEEN_MAX_BYTES))


def rate_per_s(exchange: Exchange, stream: Stream) -> float | None:
    """Bytes per second that went that way; None when nothing did.

    What was sent has arrived when the last answer has come back.
    """
    if exchange.last_s is None:
        return None
    if stream == "upstream":
        return exchange.sent_bytes / exchange.last_s
    whole = exchange.outcome == "answered"
    return exchange.received_bytes / (exchange.last_s if whole else exchange.seconds)


def patience_s(size_bytes: int, limit_per_s: float) -> float:
    """How much longer than usual so many bytes may take.

    Enough to come to the end even when answers are longer than they were taken for: Toxiproxy can
    hang when a toxic is removed in the moment in which a client breaks off (Shopify/toxiproxy#558).
    """
    return SEEN_S + _LONGER * size_bytes / limit_per_s


def kept(rate: float | None, limit_per_s: float) -> bool:
    """Whether something got through, and no faster than the limit."""
    return rate is not None and rate <= _TOLERANCE * limit_per_s


def summary_of_rates(exchanges: Sequence[Exchange], stream: Stream) -> str:
    """`195 KiB/s`, or from the least to the most; `silent`; other outcomes once each."""
    found = [(exchange.outcome, rate_per_s(exchange, stream)) for exchange in exchanges]
    rates = [rate for _, rate in found if rate is not None]
    words = [format_range(rates, format_byte_rate)] if rates else []
    words += sorted({outcome for outcome, rate in found if rate is None})
    return ", ".join(words) or "no link"
