"""Whether a host answers at all: an ICMP echo (RFC 792), and connecting to its ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Sequence

from .kernel import OrderError
from .tries import Tries

REQUEST, REPLY = 8, 0


class Echo(Tries):
    """Tries of hosts, at their real addresses and from the proxy's."""

    async def reaches(
        self, address: str, ports: Sequence[int], timeout_s: float
    ) -> dict[str, bool]:
        """Whether it answers an echo, and whether any of the ports answers, be it by refusing."""
        echo, *answers = await asyncio.gather(
            self._echoes(address, timeout_s),
            *(self._tried(address, port, timeout_s, _nothing) for port in ports),
        )
        tcp = any(answer["connect_s"] or answer["outcome"] == "refused" for answer in answers)
        return {"echo": echo, "tcp": tcp}

    async def _echoes(self, address: str, timeout_s: float) -> bool:
        loop = asyncio.get_running_loop()
        request = echo_request(os.getpid() & 0xFFFF, os.urandom(8))
        try:
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        except OSError as error:
            raise OrderError(f"ICMP: {error.strerror}") from error
        with made, contextlib.suppress(TimeoutError, OSError):  # no way there: no answer
            made.settimeout(0)
            made.bind((self._own or "0.0.0.0", 0))
            async with asyncio.timeout(timeout_s):
                await loop.sock_sendto(made, request, (address, 0))
                while True:
                    if is_reply(await loop.sock_recv(made, 256), request):
                        return True
        return False


async def _nothing(*_: object) -> bool:
    return True


def echo_request(number: int, data: bytes) -> bytes:
    """One, with its checksum."""
    bare = struct.pack("!BBHHH", REQUEST, 0, 0, number, 1) + data
    return bare[:2] + struct.pack("!H", checksum(bare)) + bare[4:]


def is_reply(packet: bytes, request: bytes) -> bool:
    """Whether a packet with its IPv4 header is the reply to that request."""
    body = packet[(packet[0] & 15) * 4 :]
    return body[:1] == bytes([REPLY]) and body[4:] == request[4:]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
