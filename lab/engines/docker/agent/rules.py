"""Packet rules of this namespace: counted, dropped, refused; by the address of a link.

Every rule that drops bears in its comment the name in which it was made, so that what several want
of one link is kept apart by the kernel itself.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .kernel import OrderError, run

# Rules that drop, by the chain of the kernel that leads to them. A link's packets come in from
# its client (upstream) and go out to it (downstream). A share is dropped before all are, so that
# its own counters can be told in any case.
LOSSES = {"INPUT": "LAB-LOSS-IN", "OUTPUT": "LAB-LOSS-OUT"}
CUTS = {"INPUT": "LAB-CUT-IN", "OUTPUT": "LAB-CUT-OUT"}
DROPPING = (*LOSSES.values(), *CUTS.values())
EMPTY = [f":{chain} - [0:0]" for chain in DROPPING]
DROPS = {"upstream": ("INPUT", "d", "-i"), "downstream": ("OUTPUT", "s", "-o")}
# Links that take no new connections: a chain that every first packet of one goes through.
SHUT = "LAB-SHUT"
SHUT_EMPTY = f":{SHUT} - [0:0]"
SHUT_RULE = re.compile(rf"-A {SHUT} -d ([\d.]+)/32")
# What the lab sends a second time is no traffic of the link: it leaves before it is counted.
COPIES = {"INPUT": "LAB-COPIES-IN", "OUTPUT": "LAB-COPIES-OUT"}
# A queue that nobody ever reads: the kernel drops what goes there and tells the sender nothing.
# After DROP on the way out the sender's own TCP knows at once, which is no loss as on a line.
NOWHERE = "NFQUEUE --queue-num 65535"
VARIANTS = ("nft", "legacy")


@dataclass(frozen=True, slots=True, order=True)
class Drop:
    """One direction of an address in which packets are dropped: all, or a share at random."""

    address: str
    stream: str
    why: str
    share: float = 1.0

    def rules(self) -> list[str]:
        """Packets of probes from here (through `lo`) have rules of their own: no traffic.

        Of a share, a rule that only counts goes before the one that drops.
        """
        hook, side, way = DROPS[self.stream]
        named = f"-m comment --comment {self.why}"
        found = []
        for device in (f"! {way} lo", f"{way} lo"):
            match = f"-{side} {self.address}/32 {device}"
            if self.share < 1:
                chance = f"-m statistic --mode random --probability {self.share:.9f}"
                target = "DROP" if hook == "INPUT" else NOWHERE
                found.append(f"-A {LOSSES[hook]} {match} {named}")
                found.append(f"-A {LOSSES[hook]} {match} {chance} {named} -j {target}")
            else:
                found.append(f"-A {CUTS[hook]} {match} {named} -j DROP")
        return found


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the kernel has it, with what it counted. `real` is not only for probes."""

    packets: int
    bytes: int
    chain: str
    address: str
    real: bool
    why: str
    drops: bool


def read(saved: str) -> Iterator[Rule]:
    """The rules about one address in what `iptables-save -c` says."""
    for line in saved.splitlines():
        counts, _, rest = line.partition(" -A ")
        words = rest.split()
        if not counts.startswith("[") or len(words) < 3 or words[1] not in ("-s", "-d"):
            continue
        packets, size = counts.strip("[]").split(":")
        yield Rule(
            int(packets),
            int(size),
            words[0],
            words[2].partition("/")[0],
            "!" in words,
            words[words.index("--comment") + 1] if "--comment" in words else "",
            "-j" in words,
        )


class Rules:
    """The only one that changes packet rules in this namespace."""

    def __init__(self) -> None:
        super().__init__()
        self._variant: str | None = None  # which iptables this kernel understands
        self._accounted: list[str] = []
        self._drops: set[Drop] = set()
        self._shut: set[str] = set()
        self._dropped: dict[str, int] = {}  # by rules that are gone, by address
        self._changing = asyncio.Lock()

    async def account(self, addresses: Sequence[str]) -> dict[str, str]:
        """Count packets of each address, both ways, behind the rules that drop.

        Probes made here pass through `lo`; they are not traffic and do not count.
        """
        lines = [*EMPTY, SHUT_EMPTY, *(f":{chain} - [0:0]" for chain in COPIES.values())]
        lines += [f"-A {hook} -j {by[hook]}" for by in (LOSSES, CUTS) for hook in CUTS]
        lines.append(f"-A INPUT -p tcp --syn -j {SHUT}")
        lines += [f"-A {hook} -j {chain}" for hook, chain in COPIES.items()]
        for address in addresses:
            lines.append(f"-A INPUT -d {address}/32 ! -i lo")
            lines.append(f"-A OUTPUT -s {address}/32 ! -o lo")
        troubles = []
        for variant in VARIANTS:
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

    async def cut(self, addresses: Sequence[str], way: str = "both", why: str = "cut") -> None:
        """Drop every packet of these addresses that goes that way."""
        await self._drop({Drop(address, s, why) for address in addresses for s in ways(way)})

    async def mend(self, addresses: Sequence[str], way: str = "both", why: str = "cut") -> None:
        """Drop nothing in that name of these addresses that goes that way."""
        gone = {Drop(address, s, why) for address in addresses for s in ways(way)}
        await self._keep(lambda drop: drop not in gone)

    async def lose(self, addresses: Sequence[str], way: str, share: float, why: str) -> None:
        """Drop a share of the packets of these addresses that go that way."""
        await self._drop({Drop(address, s, why, share) for address in addresses for s in ways(way)})

    async def stop_losing(self, addresses: Sequence[str], why: str) -> None:
        """Lose nothing of these addresses in that name any more."""
        await self._keep(lambda drop: drop.why != why or drop.address not in addresses)

    async def _drop(self, drops: set[Drop]) -> None:
        async with self._changing:
            new = drops - self._drops
            if new:
                await self._restore([rule for drop in sorted(new) for rule in drop.rules()])
                self._drops |= new

    async def _keep(self, kept: Callable[[Drop], bool]) -> None:
        """Drop only that.

        The rules of all others are written anew, at once, so that nothing can be left behind.
        """
        async with self._changing:
            rest = set(filter(kept, self._drops))
            if rest != self._drops:
                now = await self.traffic()
                self._dropped = {address: counts[2] for address, counts in now.items()}
                rules = [rule for drop in sorted(rest) for rule in drop.rules()]
                await self._restore([*EMPTY, *rules])
                self._drops = rest

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

    async def cuts(self) -> dict[str, list[str]]:
        """In whose names all packets of an address are dropped, as the kernel has it."""
        return names(await self._saved(), CUTS.values())

    async def losses(self) -> dict[str, list[str]]:
        """In whose names a share of them is."""
        return names(await self._saved(), LOSSES.values())

    async def lost(self, why: str) -> dict[str, tuple[int, int]]:
        """Packets seen and dropped by address, by the rules for a share, those of probes too."""
        counts: dict[str, tuple[int, int]] = {}
        for rule in read(await self._saved()):
            if rule.chain in LOSSES.values() and rule.why == why:
                seen, dropped = counts.get(rule.address, (0, 0))
                now = (0, rule.packets) if rule.drops else (rule.packets, 0)
                counts[rule.address] = (seen + now[0], dropped + now[1])
        return counts

    async def traffic(self) -> dict[str, list[int]]:
        """Packets, bytes and dropped packets by address, since they are counted."""
        counts = {address: [0, 0, self._dropped.get(address, 0)] for address in self._accounted}
        for rule in read(await self._saved()):
            count = counts.get(rule.address)
            if count is None or not rule.real:
                continue
            if rule.chain in DROPPING:
                count[2] += rule.packets if rule.drops else 0
            else:
                count[0] += rule.packets
                count[1] += rule.bytes
        return counts

    async def _restore(self, lines: Iterable[str], table: str = "filter") -> None:
        """Apply rules, all in one step of the kernel."""
        text = "\n".join([f"*{table}", *lines, "COMMIT", ""])
        await run([f"iptables-{self._filter()}-restore", "--noflush"], text)

    async def _saved(self, table: str = "filter") -> str:
        """All rules with their counters."""
        return await run([f"iptables-{self._filter()}-save", "-c", "-t", table])

    def _filter(self) -> str:
        if self._variant is None:
            raise OrderError("this kernel offers no packet filter (iptables)")
        return self._variant


def ways(way: str) -> list[str]:
    """The streams that a way means."""
    return [stream for stream in DROPS if way in ("both", stream)]


def names(saved: str, chains: Iterable[str]) -> dict[str, list[str]]:
    """In whose names rules of these chains act, by address."""
    chains = set(chains)
    found: dict[str, set[str]] = {}
    for rule in read(saved):
        if rule.chain in chains and rule.why and rule.drops:
            found.setdefault(rule.address, set()).add(rule.why)
    return {address: sorted(whys) for address, whys in found.items()}
