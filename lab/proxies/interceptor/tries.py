"""Requests of the lab's own, through the whole link: what a client would get.

What reaches the server is always the same harmless request. For a rule it pretends to be one that
the rule is about (`PROBE_HEADER`), so that nobody buys anything by being measured.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any

import httptools

from lab.proxies.greetings import HTTP_GREETING
from lab.proxies.interceptor.heads import PROBE_HEADER
from lab.proxies.striking import Attempt


async def attempt(
    host: str, port: int, source: str | None, pretends: str | None, timeout_s: float
) -> dict[str, Any]:
    """Ask once over a new connection; `pretends` is `METHOD PATH RULE`."""
    found = Attempt()
    began_s = time.monotonic()
    writer = None
    try:
        async with asyncio.timeout(timeout_s):
            local = (source, 0) if source else None
            reader, writer = await asyncio.open_connection(host, port, local_addr=local)
            writer.write(_request(pretends))
            await _read(reader, found)
    except TimeoutError:
        pass
    except ConnectionRefusedError:
        found.outcome = "refused"
    except (ConnectionResetError, BrokenPipeError):
        found.outcome = "reset"
    finally:
        if writer:
            writer.transport.abort()
    found.seconds = time.monotonic() - began_s
    return asdict(found)


def _request(pretends: str | None) -> bytes:
    if pretends is None:
        return HTTP_GREETING
    line = PROBE_HEADER + b": " + pretends.encode("latin-1") + b"\r\n\r\n"
    return HTTP_GREETING.removesuffix(b"\r\n") + line


async def _read(reader: asyncio.StreamReader, found: Attempt) -> None:
    """Until the answer is whole, or the connection ends."""
    reading = _Answer(found)
    while not reading.complete:
        data = await reader.read(1 << 16)
        if not data:
            found.outcome = "closed" if found.status is None else "cut"
            return
        try:
            reading.parser.feed_data(data)
        except httptools.HttpParserError:
            found.outcome = "closed"
            return
    found.outcome = "answered"


class _Answer:
    """An answer as llhttp reads it; its callbacks are named by httptools."""

    def __init__(self, found: Attempt) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.complete = False
        self._found = found

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-length":
            self._found.promised_bytes = int(value)

    def on_headers_complete(self) -> None:
        self._found.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._found.received_bytes += len(body)

    def on_message_complete(self) -> None:
        self.complete = True
