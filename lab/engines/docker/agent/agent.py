"""The agent: carries out orders, each on its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

from lab.engines.handshake import handshake

from .cable import Cable
from .connections import Connections
from .datagrams import Datagrams
from .echo import Echo
from .kernel import run
from .names import Names


class Agent(Datagrams, Echo, Connections, Cable, Names):
    """Public methods are the orders; their arguments are the keys of the message."""

    def __init__(self) -> None:
        super().__init__()
        self._exposition = ""

    async def route(self, subnet: str, own: str, hand: str) -> None:
        """AnyIP: answer for every address of a range as if it were this container's own.

        `own` is the address that probes are made from, as a proxy would; `hand` the one for orders
        to services, which pass every fault.
        """
        self._own, self._hand = own, hand
        await run(["ip", "route", "replace", "local", subnet, "dev", "lo"])

    async def publish(self, text: str) -> None:
        """What `/metrics` says from now on."""
        self._exposition = text

    async def handshake(
        self, address: str, port: int, name: str, authority: str, timeout_s: float
    ) -> dict[str, str]:
        """A TLS handshake over a link."""
        return await handshake(address, port, name, authority, timeout_s)

    async def ping(self) -> dict[str, float]:
        """This container's monotonic clock."""
        return {"clock_s": time.monotonic()}

    async def serve_metrics(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer any request on the metrics port with what was published."""
        body = self._exposition.encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    async def carry_out(self, order: dict[str, Any]) -> None:
        """One order, and its answer."""
        answer: dict[str, Any] = {"id": order.pop("id")}
        try:
            answer["is"] = await getattr(self, order.pop("do"))(**order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other end must hear of it
            answer["error"] = str(error) or type(error).__name__
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
