"""What is done to single packets of a link besides dropping them: held, sent twice, damaged.

Only packets of links that have such a fault come here: rules in front of those that drop send them
into a queue of the kernel, and this process lets each go on when it may. Without this process
(`--queue-bypass`) they pass untouched.

    damaged, then doubled, then delayed by the sum of all delays; then lost, cut, counted

A copy is sent from a raw socket with a mark, by which it is not taken for a packet once more. So is
a packet on its way out that was held: had it waited in the kernel, its sender would count it as not
sent yet and hold back all that follow (TCP small queues; netem orphans its packets for that).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .kernel import OrderError
from .netlink import Packet, Queue, overflown
from .rules import COPIES, DROPS, Rules, names, ways

QUEUE_NUMBER = 0
TABLE = Path("/proc/net/netfilter/nfnetlink_queue")
MARKS = COPY, LATER = 0x1AB, 0x1AC
"""Marks of what is sent from here: once more, and later."""
SO_MARK = 36
HOLDS = {"INPUT": "LAB-HOLD-IN", "OUTPUT": "LAB-HOLD-OUT"}
HOLD_EMPTY = [f":{chain} - [0:0]" for chain in HOLDS.values()]
INTO_QUEUE = f"NFQUEUE --queue-num {QUEUE_NUMBER} --queue-bypass"
TRY = "LAB-TRY"
NEEDS = {
    "share": ("filter", "-m statistic --mode random --probability 0.5 -m comment --comment x"),
    "queue": ("mangle", f"-m comment --comment x -j {INTO_QUEUE}"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to packets of one direction of an address.

    `kind` is `hold` (for `delay_s`), `double` or `damage`; `share` of them, at random; `opening`
    means only those that open a connection.
    """

    kind: str
    share: float = 1.0
    delay_s: float = 0.0
    opening: bool = False

    def rule(self, address: str, stream: str, why: str) -> str:
        """The rule that brings them here."""
        hook, side, _ = DROPS[stream]
        which = "-p tcp --syn " if self.opening else ""
        match = f"-{side} {address}/32 {which}-m comment --comment {why}"
        return f"-A {HOLDS[hook]} {match} -j {INTO_QUEUE}"


Place = tuple[str, str]  # address, stream


@dataclass(slots=True)
class Held:
    """A packet that waits: when it goes on, and for how long each name holds it."""

    packet: Packet
    place: Place
    due_s: float
    delays: dict[str, float]
    timer: asyncio.TimerHandle
    payload: bytes
    double: bool


class Stage(Rules):
    """Takes packets, and lets them go on."""

    def __init__(self) -> None:
        super().__init__()
        self._changes: dict[Place, dict[str, Change]] = {}
        self._held: dict[int, Held] = {}
        self._queue: Queue | None = None
        self._raw: dict[int, socket.socket] = {}  # by mark
        self._overflown = 0  # as told already
        self._led = False  # whether the kernel's chains lead here
        self._chance = random.Random()

    async def lacks(self) -> dict[str, str]:
        """What this kernel cannot do, with its own words: `share`, `queue`. Found out by trying."""
        found = {}
        for need, (table, rule) in NEEDS.items():
            try:
                await self._restore([f":{TRY} - [0:0]", f"-A {TRY} {rule}"], table)
            except OrderError as error:
                found[need] = str(error)
            else:
                await self._restore([f"-F {TRY}", f"-X {TRY}"], table)
        if "queue" not in found:
            try:
                Queue(QUEUE_NUMBER).close()
            except OrderError as error:
                found["queue"] = str(error)
        return found

    async def disturb(
        self, addresses: Sequence[str], way: str, why: str, kind: str, **settings: float
    ) -> None:
        """Change packets of these addresses that go that way; `kind` and settings of `Change`."""
        change = Change(kind, **settings)  # type: ignore[arg-type]
        async with self._changing:
            self._open()
            places = [(address, stream) for address in addresses for stream in ways(way)]
            new = {p for p in places if self._changes.get(p, {}).get(why) != change}
            for place in new:
                self._changes.setdefault(place, {})[why] = change
            if new:
                await self._write()

    async def settle(self, addresses: Sequence[str], why: str) -> int:
        """Change, hold and lose nothing of these addresses in that name any more.

        Returns how many packets the queue had no room for since it was last asked: loss that no
        fault meant.
        """
        await self.stop_losing(addresses, why)
        async with self._changing:
            places = [p for p, changes in self._changes.items() if p[0] in addresses]
            places = [place for place in places if why in self._changes[place]]
            for place in places:
                del self._changes[place][why]
            if places:
                await self._write()
            loop = asyncio.get_running_loop()
            for number, held in list(self._held.items()):
                if held.place in places and why in held.delays:
                    held.timer.cancel()
                    held.due_s -= held.delays.pop(why)
                    held.timer = loop.call_at(held.due_s, self._let_go, number)
        before, self._overflown = self._overflown, self._lost_here()
        return self._overflown - before

    async def disturbed(self) -> dict[str, list[str]]:
        """In whose names packets of an address are lost or changed, as the kernel has it."""
        found = await self.losses()
        for address, whys in names(await self._saved("mangle"), HOLDS.values()).items():
            found[address] = sorted({*found.get(address, ()), *whys})
        return found

    def longest_s(self, address: str) -> float:
        """How long a packet of an address, and one in answer, may be held."""
        return sum(
            change.delay_s
            for stream in DROPS
            for change in self._changes.get((address, stream), {}).values()
        )

    def _lost_here(self) -> int:
        try:
            return overflown(TABLE.read_text(), QUEUE_NUMBER)
        except FileNotFoundError:  # no queue was ever read
            return 0

    async def _write(self) -> None:
        """Write all rules that bring packets here anew, the way to them with the first ones."""
        rules = [
            change.rule(address, stream, why)
            for (address, stream), changes in sorted(self._changes.items())
            for why, change in sorted(changes.items())
        ]
        ours = [f"-A {c} -m mark --mark {m:#x} -j RETURN" for c in HOLDS.values() for m in MARKS]
        if not self._led:
            await self._restore(
                f"-A {chain} -m mark --mark {COPY:#x} -j ACCEPT" for chain in COPIES.values()
            )
            rules += [f"-A {hook} -j {chain}" for hook, chain in HOLDS.items()]
        await self._restore([*HOLD_EMPTY, *ours, *rules], "mangle")
        self._led = True

    def _open(self) -> None:
        """Begin to read packets, when that is first wanted."""
        if self._queue is None:
            self._queue = Queue(QUEUE_NUMBER)
            asyncio.get_running_loop().add_reader(self._queue.fileno(), self._read)

    def _read(self) -> None:
        assert self._queue  # noqa: S101 - it is what was read
        for packet in self._queue.read():
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        assert self._queue  # noqa: S101 - packets come from it
        source, target = (socket.inet_ntoa(packet.payload[at : at + 4]) for at in (12, 16))
        place = (target, "upstream") if packet.incoming else (source, "downstream")
        delays: dict[str, float] = {}
        payload, double = packet.payload, False
        for why, change in self._changes.get(place, {}).items():
            if change.opening and not opens(packet.payload):
                continue
            if change.share < 1 and self._chance.random() >= change.share:
                continue
            if change.kind == "hold":
                delays[why] = change.delay_s
            elif change.kind == "double":
                double = True
            elif change.kind == "damage":
                payload = damaged(payload, self._chance)
        if not delays:
            self._accept(packet, payload, double=double)
            return
        if not packet.incoming:
            self._queue.drop(packet.number)
        loop = asyncio.get_running_loop()
        due_s = loop.time() + sum(delays.values())
        timer = loop.call_at(due_s, self._let_go, packet.number)
        self._held[packet.number] = Held(packet, place, due_s, delays, timer, payload, double)

    def _let_go(self, number: int) -> None:
        held = self._held.pop(number)
        if held.packet.incoming:
            self._accept(held.packet, held.payload, double=held.double)
        else:
            self._send(held.payload, LATER)
            if held.double:
                self._send(held.payload, COPY)

    def _accept(self, packet: Packet, payload: bytes, *, double: bool) -> None:
        assert self._queue  # noqa: S101 - the packet came from it
        self._queue.accept(packet.number, None if payload is packet.payload else payload)
        if double:
            self._send(payload, COPY)

    def _send(self, packet: bytes, mark: int) -> None:
        if mark not in self._raw:
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            made.settimeout(0)
            made.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
            self._raw[mark] = made
        with contextlib.suppress(OSError):  # dropped on sending: lost like any packet
            self._raw[mark].sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))


def opens(packet: bytes) -> bool:
    """Whether it is the first packet of a TCP connection."""
    start = (packet[0] & 15) * 4
    tcp = packet[9] == socket.IPPROTO_TCP and len(packet) > start + 13
    return tcp and packet[start + 13] & 0x17 == 0x02  # of FIN, SYN, RST, ACK only SYN


def damaged(packet: bytes, chance: random.Random) -> bytes:
    """The packet with one bit of what it carries turned over; its checksum no longer fits."""
    start = (packet[0] & 15) * 4
    if len(packet) <= start + 8:
        return packet
    at = chance.randrange(start + 8, len(packet))
    return packet[:at] + bytes([packet[at] ^ 1 << chance.randrange(8)]) + packet[at + 1 :]
