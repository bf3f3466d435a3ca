"""An interceptor at work on some links of a cluster, whichever way an engine talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.errors import EngineError, InjectionError
from lab.plan import LinkEnd
from lab.proxies.striking import Attempt, HttpRule, Strikes

NAME = "lab/interceptor"
"""The part's name: of its container or process, in usage and in logs."""

MODULE = "lab.proxies.interceptor"
_SLACK_S = 5.0

Order = Callable[..., Awaitable[Any]]
"""Gives an order by its word and arguments, and returns what is answered."""


@dataclass(frozen=True, slots=True)
class Interception:
    """The orders of one interceptor.

    `doors` says where a client of each intercepted link end connects to. Tries are made from the
    address `source`, where it matters which one that is.
    """

    order: Order
    doors: Mapping[str, tuple[str, int]]
    source: str | None = None

    async def ask(self, do: str, longer_s: float = 0.0, **arguments: Any) -> Any:
        """Give an order.

        Raises:
            EngineError: it failed, or was not carried out in time.
        """
        try:
            async with asyncio.timeout(_SLACK_S + longer_s):
                return await self.order(do, **arguments)
        except TimeoutError:
            raise EngineError(f"the interceptor did not answer to `{do}`") from None


class Intercepting:
    """`lab.engines.Interceptable`, for a cluster that has an `interception`, or has none."""

    interception: Interception | None = None

    async def strike(self, rules: Mapping[str, HttpRule]) -> None:
        """Strike requests from now on, by one rule on each of these link ends."""
        at_work = self._at_work(list(rules))
        await at_work.ask("arm", rules={name: asdict(rule) for name, rule in rules.items()})

    async def spare(self, ends: Sequence[LinkEnd], rule: str) -> None:
        """Strike by that rule no more."""
        if self.interception:
            await self.interception.ask("disarm", links=[end.name for end in ends], rule=rule)

    async def strikes(self, ends: Sequence[LinkEnd], rule: str) -> dict[str, Strikes | None]:
        """What a rule has counted, by link end; still there once it is off."""
        names = [end.name for end in ends]
        found = await self._at_work(names).ask("counts", links=names, rule=rule)
        return {name: counts and Strikes(**counts) for name, counts in found.items()}

    async def attempt(self, end: LinkEnd, pretends: str | None, timeout_s: float) -> Attempt:
        """One harmless request over a link, through its proxy."""
        at_work = self._at_work([end.name])
        host, port = at_work.doors[end.name]
        asked = {"host": host, "port": port, "source": at_work.source, "pretends": pretends}
        return Attempt(**await at_work.ask("attempt", timeout_s, timeout_s=timeout_s, **asked))

    async def armed_rules(self) -> list[str]:
        """Rules that are on, in words, each beginning with its link end's name."""
        if self.interception is None:
            return []
        found: Mapping[str, list[str]] = await self.interception.ask("armed")
        return [f"{end}: its requests are struck ({rule})" for end in found for rule in found[end]]

    def _at_work(self, names: Sequence[str]) -> Interception:
        doors = self.interception.doors if self.interception else {}
        if self.interception is None or not all(name in doors for name in names):
            missing = ", ".join(name for name in names if name not in doors)
            raise InjectionError(
                f"no interceptor that knows HTTP is in the path of {missing}",
                remedy="it is put there for the faults of an experiment, and not by `lab up`",
            )
        return self.interception
