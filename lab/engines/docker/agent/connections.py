"""Connections of this namespace that are open, as the kernel knows them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from .kernel import run

ZERO_WINDOW = 4  # the timer that is pending while the peer's window is zero
FULL_BYTES = 1 << 16


class Connections:
    """Looks at them, and resets them."""

    async def stalled(self, link: str, upstream: str) -> bool:
        """Whether a connection at these `address:port` waits for a peer that does not read.

        The kernel tells: a zero window being probed, or a full buffer sent again and again.
        """
        ends = {hexed(link), hexed(upstream)}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]  # noqa: ASYNC240
        return any(ends & {row[1], row[2]} and is_stalled(row) for row in rows)

    async def reset(self, addresses: Sequence[str]) -> None:
        """Reset the connections that are open at these addresses, where the kernel can do that."""
        of = " or ".join(f"src {address}" for address in addresses)
        if of:
            await run(["ss", "-K", "-H", "-tn", *of.split()])


def hexed(endpoint: str) -> str:
    """`198.18.7.130:5432` as the kernel's table of connections writes it (proc_net_tcp.rst)."""
    address, _, port = endpoint.rpartition(":")
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}:{int(port):04X}"


def is_stalled(row: Sequence[str]) -> bool:
    """Whether a row of that table, split, is of a connection whose peer does not read."""
    queued_bytes = int(row[4].partition(":")[0], 16)
    timer, resent = int(row[5].partition(":")[0], 16), int(row[6], 16)
    return timer == ZERO_WINDOW or (resent > 0 and queued_bytes >= FULL_BYTES)
