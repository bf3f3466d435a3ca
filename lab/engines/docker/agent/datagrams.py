"""Datagrams over the address of a link: what single packets meet there, without a connection.

They show one direction at a time, and pass all packet rules of a link as its traffic does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .stage import Stage
from .tries import Tries

BATCH = 16
"""Sent before the receiver gets a turn: its buffer must not be what loses them."""
QUIET_S = 0.03
NUMBER = struct.Struct("!I16x")


@dataclass(slots=True)
class Volley:
    """What became of numbered datagrams: how many arrived, not counting copies.

    `overtaken` came after a later one; `damaged` is how many the kernel threw away here because
    their checksum was wrong; `seconds` are the times they took.
    """

    sent: int
    arrived: int = 0
    copies: int = 0
    overtaken: int = 0
    damaged: int = 0
    seconds: list[float] = field(default_factory=list)


class Datagrams(Stage, Tries):
    """Tries of a link with datagrams."""

    async def passes(self, address: str, timeout_s: float) -> dict[str, bool]:
        """Whether a datagram to this address arrives (upstream), and one from it (downstream)."""
        loop = asyncio.get_running_loop()

        async def arrives(sender: socket.socket, receiver: socket.socket) -> bool:
            with contextlib.suppress(TimeoutError, PermissionError):  # refused: dropped on sending
                async with asyncio.timeout(timeout_s + self.longest_s(address)):
                    await loop.sock_sendto(sender, b"lab", receiver.getsockname())
                    return await loop.sock_recv(receiver, 16) == b"lab"
            return False

        with datagrams(self._own or "127.0.0.1") as own, datagrams(address) as link:
            up, down = await asyncio.gather(arrives(own, link), arrives(link, own))
        return {"upstream": up, "downstream": down}

    async def volley(
        self, address: str, stream: str, count: int, timeout_s: float, why: str = ""
    ) -> dict[str, Any]:
        """Send so many datagrams one way and listen until all came, or for so long after the last.

        With `why` also what the rules that lose packets in that name counted meanwhile: `seen`,
        `lost`.
        """
        before = await self.lost(why) if why else {}
        with datagrams(self._own or "127.0.0.1") as own, datagrams(address) as link:
            sender, receiver = (own, link) if stream == "upstream" else (link, own)
            shot = await _shoot(sender, receiver, count, timeout_s)
        found = asdict(shot)
        shot.seconds.sort()
        found["seconds"] = [shot.seconds[0], shot.seconds[-1]] if shot.seconds else []
        if why:
            after = (await self.lost(why)).get(address, (0, 0))
            seen, lost = before.get(address, (0, 0))
            found |= {"seen": max(after[0] - seen, 0), "lost": max(after[1] - lost, 0)}
        return found


async def _shoot(
    sender: socket.socket, receiver: socket.socket, count: int, timeout_s: float
) -> Volley:
    loop = asyncio.get_running_loop()
    shot, sent_s, seen, highest = Volley(count), [0.0] * count, set[int](), -1
    wrong, all_came = checksum_errors(), asyncio.Event()

    def take() -> None:
        nonlocal highest
        with contextlib.suppress(BlockingIOError):
            while True:
                (number,) = NUMBER.unpack(receiver.recv(NUMBER.size))
                shot.copies += number in seen
                if number not in seen:
                    seen.add(number)
                    shot.seconds.append(time.monotonic() - sent_s[number])
                    shot.overtaken += number < highest
                highest = max(highest, number)
                if len(seen) == count:
                    all_came.set()

    loop.add_reader(receiver.fileno(), take)
    try:
        for number in range(count):
            sent_s[number] = time.monotonic()
            with contextlib.suppress(PermissionError):  # dropped on sending
                sender.sendto(NUMBER.pack(number), receiver.getsockname())
            if number % BATCH == BATCH - 1:
                await asyncio.sleep(0)  # a turn for the receiver, and for the packet stage
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await all_came.wait()
        await asyncio.sleep(QUIET_S)  # copies may come last
    finally:
        loop.remove_reader(receiver.fileno())
    shot.arrived, shot.damaged = len(seen), checksum_errors() - wrong
    return shot


def checksum_errors() -> int:
    """Datagrams that this namespace threw away for their checksum (/proc/net/snmp)."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    names, values = (words for words in lines if words[0] == "Udp:")
    return int(values[names.index("InCsumErrors")]) if "InCsumErrors" in names else 0


def datagrams(address: str) -> socket.socket:
    """A socket for datagrams at any port of an address."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(0)
    made.bind((address, 0))
    return made
