"""What the agent does to packets of links: cut, lost, held, sent twice, damaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.engines import Disturbance, Volley
from lab.engines.docker.hands import Agent
from lab.engines.docker.layout import Layout
from lab.plan import Deployment, LinkEnd
from lab.proxies import Stream, Way, streams


class Packets:
    """`Partitionable` and `Disturbable`, by packet rules on the addresses of links."""

    deployment: Deployment
    layout: Layout
    _agent: Agent

    def note(self, name: str, why: str) -> None:
        """Tell of something that spoils the run."""
        raise NotImplementedError

    async def cut(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Drop every packet of these link ends."""
        await self._agent.order("cut", addresses=self._addresses(ends), way=way, why=why)

    async def mend(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Stop dropping, in that name."""
        await self._agent.order("mend", addresses=self._addresses(ends), way=way, why=why)

    async def cuts(self) -> Mapping[str, Sequence[str]]:
        """In whose names link ends are cut, as the kernel has it."""
        return self._by_end(await self._agent.order("cuts"))

    async def passing(self, end: LinkEnd, timeout_s: float = 1.0) -> frozenset[Stream]:
        """Seen by datagrams, to the link's address and from it: packet rules are for all."""
        found = await self._agent.order("passes", address=self._address(end), timeout_s=timeout_s)
        return frozenset(stream for stream in streams("both") if found[stream])

    def lacking(self, disturbance: Disturbance) -> str:
        """What this kernel lacks for it, found out when the agent started."""
        lacks = self._agent.lacks
        if disturbance.kind != "lose":
            return lacks.get("queue", "")
        # On the way out a packet is lost by a queue that nobody reads: its sender hears nothing.
        return lacks.get("share", "") or (
            lacks.get("queue", "") if disturbance.way != "upstream" else ""
        )

    async def disturb(self, ends: Sequence[LinkEnd], disturbance: Disturbance, why: str) -> None:
        """Begin, in that name."""
        order: dict[str, Any] = {
            "addresses": self._addresses(ends),
            "way": disturbance.way,
            "why": why,
            "share": disturbance.share,
        }
        if disturbance.kind == "lose":
            await self._agent.order("lose", **order)
        else:
            order |= {"kind": disturbance.kind, "delay_s": disturbance.delay_s}
            await self._agent.order("disturb", **order, opening=disturbance.opening)

    async def settle(self, ends: Sequence[LinkEnd], why: str) -> None:
        """End all that was begun on these link ends in that name."""
        lost = await self._agent.order("settle", addresses=self._addresses(ends), why=why)
        if lost:
            text = f"its queue overflowed: {lost} packets lost that no fault meant to lose"
            self.note("lab/agent", text)

    async def disturbed(self) -> Mapping[str, Sequence[str]]:
        """In whose names packets of link ends are lost or changed, as the kernel has it."""
        return self._by_end(await self._agent.order("disturbed"))

    async def volley(
        self, end: LinkEnd, stream: Stream, count: int, timeout_s: float, why: str
    ) -> Volley:
        """Datagrams over the address of a link, made beside its proxy."""
        order = {"address": self._address(end), "stream": stream, "count": count, "why": why}
        found = await self._agent.order("volley", **order, timeout_s=timeout_s)
        shortest_s, longest_s = found.pop("seconds") or (None, None)
        return Volley(**found, shortest_s=shortest_s, longest_s=longest_s)

    async def packet_residue(self) -> list[str]:
        """Link ends of which packets are still lost or changed, in words."""
        return [
            f"{name}: something happens to its packets ({', '.join(whys)})"
            for name, whys in (await self.disturbed()).items()
        ]

    def _address(self, end: LinkEnd) -> str:
        return str(self.layout.links[end.name])

    def _addresses(self, ends: Sequence[LinkEnd]) -> list[str]:
        return [self._address(end) for end in ends]

    def _by_end(self, whys: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
        """By name of the link end what the agent says by address."""
        return {
            end.name: whys[self._address(end)]
            for end in self.deployment.ends
            if self._address(end) in whys
        }
