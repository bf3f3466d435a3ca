"""The orders that an interceptor takes; each is carried out on its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lab.proxies.interceptor.link import Link
from lab.proxies.interceptor.rules import Rule
from lab.proxies.interceptor.tries import attempt
from lab.proxies.striking import HttpRule

_HOST = "127.0.0.1"


class Interceptor:
    """Public methods are the orders; their arguments are the keys of the message."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}

    async def open(self, upstreams: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        """Stand in front of these servers, by link; where their proxies find us."""
        self._links |= {name: Link((host, port)) for name, (host, port) in upstreams.items()}
        found = await asyncio.gather(*(self._links[name].listen(_HOST) for name in upstreams))
        return dict(zip(upstreams, found, strict=True))

    async def arm(self, rules: Mapping[str, Mapping[str, Any]]) -> None:
        """Put a rule on each of these links; one that is there already keeps its counts."""
        for name, rule in rules.items():
            self._links[name].rules.arm(Rule(HttpRule(**rule)))

    async def disarm(self, links: Sequence[str], rule: str) -> None:
        """Take a rule off these links."""
        for name in links:
            self._links[name].rules.disarm(rule)

    async def armed(self) -> dict[str, list[str]]:
        """The names of the rules on each link, where there are any."""
        return {
            name: list(link.rules.armed) for name, link in self._links.items() if link.rules.armed
        }

    async def counts(self, links: Sequence[str], rule: str) -> dict[str, dict[str, int] | None]:
        """What a rule counted on each of these links; None where it never was."""
        found = {name: self._links[name].rules.counts(rule) for name in links}
        return {name: asdict(counts) if counts else None for name, counts in found.items()}

    async def attempt(
        self, host: str, port: int, source: str | None, pretends: str | None, timeout_s: float
    ) -> dict[str, Any]:
        """Ask over a link as its client does."""
        return await attempt(host, port, source, pretends, timeout_s)

    async def carry_out(self, order: dict[str, Any]) -> None:
        """One order, and its answer."""
        answer: dict[str, Any] = {"id": order.pop("id")}
        try:
            answer["is"] = await getattr(self, order.pop("do"))(**order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other end must hear of it
            answer["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
