"""What faults of single HTTP requests have in common: which requests of a link they are about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Self

from pydantic import Field, model_validator

from lab.faults.base import LinkFault
from lab.faults.chance import plausible
from lab.plan import Deployment
from lab.proxies.striking import Strikes
from lab.units import Share, format_share

NOT_HTTP: Final[Mapping[int, str]] = {
    53: "DNS",
    443: "TLS",
    1433: "SQL Server",
    3306: "MySQL",
    4222: "NATS",
    5432: "PostgreSQL",
    5672: "AMQP",
    6379: "Redis",
    9042: "Cassandra",
    9092: "Kafka",
    11211: "memcached",
    26379: "Redis Sentinel",
    27017: "MongoDB",
}
"""Ports on which something else than HTTP/1 is usually spoken."""


class RequestFault(LinkFault):
    """A fault of some requests of a link; its link ends have an interceptor in their path."""

    method: str | None = Field(default=None, description="only requests like `POST`; else all")
    path: str | None = Field(
        default=None,
        description="only requests of this path, without its query; `*` is anything: `/orders/*`",
    )
    share: Share = Field(
        default=1.0, gt=0, le=1, description="of these requests, drawn from the run's seed"
    )
    first: int | None = Field(
        default=None, ge=1, description="only so many of these requests, on each link end"
    )

    @model_validator(mode="after")
    def _some_requests(self) -> Self:
        if self.first is not None and self.share < 1:
            raise ValueError("`first` counts requests and `share` draws them: write one of them")
        if self.method is not None and not re.fullmatch("[A-Z]+", self.method):
            raise ValueError(f"`{self.method}` is not a method: write it like POST")
        if self.path is not None and not re.fullmatch(r"[/*][^\s?#]*", self.path):
            raise ValueError(f"`{self.path}` is not a path: it begins with / and has no ? or space")
        return self

    def which(self) -> str:
        """`20 % of POST /orders/*`."""
        words = " ".join(word for word in (self.method, self.path) if word) or "requests"
        if self.first is not None:
            return f"the first {self.first} {words}"
        return f"{format_share(self.share)} of {words}" if self.share < 1 else words

    def example(self) -> str:
        """One of them, as `METHOD PATH`."""
        return f"{self.method or 'GET'} {(self.path or '/lab').replace('*', 'lab')}"

    def intercepts(self, deployment: Deployment) -> tuple[str, ...]:
        """All of its link ends."""
        return self.targets(deployment)

    def misfits(self, deployment: Deployment) -> Iterator[tuple[str, str, str]]:
        """Links on which no HTTP is spoken: the field, what is wrong, what to do instead."""
        yield from super().misfits(deployment)
        for link in dict.fromkeys(end.link for end in self.ends(deployment)):
            if what := NOT_HTTP.get(link.port):
                wrong = f"`{link}` carries no HTTP: port {link.port} is {what}'s"
                yield "link", wrong, "use a fault of bytes, like latency or limit_data"

    def is_as_meant(self, count: Strikes) -> bool:
        """Whether as many requests were struck as there should be."""
        if count.seen and not count.matched:
            return False  # real requests pass by, and it is about none of them
        if self.first is not None:
            return count.struck == min(self.first, count.matched)
        if self.share < 1:
            return plausible(count.struck, count.matched, self.share)
        return count.struck == count.matched
