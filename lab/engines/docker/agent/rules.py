"""Packet rules of this namespace: counted, dropped, refused; by the address of a link."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence

from .kernel import OrderError, run

# Rules that drop, by the chain of the kernel that leads to them. A link's packets come in from
# its client (upstream) and go out to it (downstream).
CUTS = {"INPUT": "LAB-CUT-IN", "OUTPUT": "LAB-CUT-OUT"}
EMPTY = [f":{cut} - [0:0]" for cut in CUTS.values()]
DROPS = {"upstream": ("INPUT", "d", "-i"), "downstream": ("OUTPUT", "s", "-o")}
# Links that take no new connections: a chain that every first packet of one goes through.
SHUT = "LAB-SHUT"
SHUT_EMPTY = f":{SHUT} - [0:0]"
SHUT_RULE = re.compile(rf"-A {SHUT} -d ([\d.]+)/32")
RULE = re.compile(
    r"\[(?P<packets>\d+):(?P<bytes>\d+)\] -A (?:INPUT|OUTPUT|LAB-CUT-IN|LAB-CUT-OUT)"
    r" -[ds] (?P<address>[\d.]+)/32(?P<real> ! -[io] lo)(?: -j (?P<target>DROP))?"
)


class Rules:
    """The only one that changes packet rules in this namespace."""

    def __init__(self) -> None:
        super().__init__()
        self._variant: str | None = None  # which iptables this kernel understands
        self._accounted: list[str] = []
        self._cut: set[tuple[str, str]] = set()  # address, stream
        self._shut: set[str] = set()
        self._dropped: dict[str, int] = {}  # by rules that are gone, by address
        self._changing = asyncio.Lock()

    async def account(self, addresses: Sequence[str]) -> dict[str, str]:
        """Count packets of each address, both ways, behind the rules that drop.

        Probes made here pass through `lo`; they are not traffic and do not count.
        """
        lines = [*EMPTY, *(f"-A {chain} -j {cut}" for chain, cut in CUTS.items())]
        lines += [SHUT_EMPTY, f"-A INPUT -p tcp --syn -j {SHUT}"]
        for address in addresses:
            lines.append(f"-A INPUT -d {address}/32 ! -i lo")
            lines.append(f"-A OUTPUT -s {address}/32 ! -o lo")
        troubles = []
        for variant in ("nft", "legacy"):
            self._variant = variant
            try:
                await self._restore(lines)
            except OrderError as error:
                troubles.append(str(error))
                self._variant = None
            else:
                self._accounted = list(addresses)
                return {"iptables": variant}
        raise OrderError("; ".join(troubles))

    async def cut(self, addresses: Sequence[str], way: str = "both") -> None:
        """Drop every packet of these addresses that goes that way."""
        async with self._changing:
            new = cuts_of(addresses, way) - self._cut
            if new:
                await self._restore([rule for cut in sorted(new) for rule in drop_rules(*cut)])
                self._cut |= new

    async def mend(self, addresses: Sequence[str], way: str = "both") -> None:
        """Drop nothing of these addresses that goes that way.

        The rules of all others are written anew, at once, so that nothing can be left behind.
        """
        async with self._changing:
            gone = self._cut & cuts_of(addresses, way)
            if gone:
                now = await self.traffic()
                self._dropped = {address: counts[2] for address, counts in now.items()}
                rest = self._cut - gone
                rules = [rule for cut in sorted(rest) for rule in drop_rules(*cut)]
                await self._restore([*EMPTY, *rules])
                self._cut = rest

    async def shut(self, addresses: Sequence[str]) -> None:
        """Refuse new connections to these addresses; those that are open go on."""
        async with self._changing:
            await self._refuse_at(self._shut | set(addresses))

    async def unshut(self, addresses: Sequence[str]) -> None:
        """Take new connections again."""
        async with self._changing:
            await self._refuse_at(self._shut - set(addresses))

    async def shuts(self) -> list[str]:
        """Addresses that refuse new connections, as the kernel has it."""
        return sorted(set(SHUT_RULE.findall(await self._saved())))

    async def _refuse_at(self, addresses: set[str]) -> None:
        """Under the lock: orders come side by side, and none may undo another's."""
        if addresses != self._shut:
            rules = (
                f"-A {SHUT} -d {address}/32 -p tcp -j REJECT --reject-with tcp-reset"
                for address in sorted(addresses)
            )
            await self._restore([SHUT_EMPTY, *rules])
            self._shut = addresses

    async def cuts(self) -> list[str]:
        """Addresses with a rule that drops, as the kernel has it."""
        return sorted({m["address"] for m in RULE.finditer(await self._saved()) if m["target"]})

    async def traffic(self) -> dict[str, list[int]]:
        """Packets, bytes and dropped packets by address, since they are counted."""
        counts = {address: [0, 0, self._dropped.get(address, 0)] for address in self._accounted}
        for match in RULE.finditer(await self._saved()):
            count = counts.get(match["address"])
            if count is None:
                continue
            if match["target"]:
                count[2] += int(match["packets"])
            else:
                count[0] += int(match["packets"])
                count[1] += int(match["bytes"])
        return counts

    async def _restore(self, lines: Iterable[str]) -> None:
        """Apply rules, all in one step of the kernel."""
        text = "\n".join(["*filter", *lines, "COMMIT", ""])
        await run([f"iptables-{self._filter()}-restore", "--noflush"], text)

    async def _saved(self) -> str:
        """All rules with their counters."""
        return await run([f"iptables-{self._filter()}-save", "-c", "-t", "filter"])

    def _filter(self) -> str:
        if self._variant is None:
            raise OrderError("this kernel offers no packet filter (iptables)")
        return self._variant


def cuts_of(addresses: Iterable[str], way: str) -> set[tuple[str, str]]:
    """What is cut of these addresses: each with the streams that a way means."""
    return {(address, s) for address in addresses for s in DROPS if way in ("both", s)}


def drop_rules(address: str, stream: str) -> list[str]:
    """Rules that drop one direction.

    Packets of probes from here (through `lo`) have rules of their own, so that they do not count
    as dropped traffic.
    """
    chain, side, way = DROPS[stream]
    return [
        f"-A {CUTS[chain]} -{side} {address}/32 {device} -j DROP"
        for device in (f"! {way} lo", f"{way} lo")
    ]
