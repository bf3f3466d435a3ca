"""Tries of links, made from beside their proxy: what a client would see."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .kernel import OrderError

LISTEN_RETRY_S = 0.03
_REQUESTS_MAX = 128


class Tries:
    """Probes and longer exchanges.

    `_own` is the address that they are made from; `_hand` that of orders to services.
    """

    def __init__(self) -> None:
        super().__init__()
        self._own: str | None = None
        self._hand: str | None = None
        # Requests that wait for something to happen hold up no others.
        self._requests = concurrent.futures.ThreadPoolExecutor(_REQUESTS_MAX, "http")

    async def probe(self, address: str, port: int, text: str, timeout_s: float) -> dict[str, Any]:
        """One try of a link: connect, say this (a character a byte), wait for the first byte."""

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(text.encode("latin-1"))
            return bool(await reader.read(1))

        return await self._tried(address, port, timeout_s, ask)

    async def exchange(
        self, address: str, port: int, saying: Sequence[tuple[str, int]], timeout_s: float
    ) -> dict[str, Any]:
        """A longer try of a link: say all of it and listen until the server closes."""
        text = b"".join(part.encode("latin-1") * times for part, times in saying)
        began_s = time.monotonic()
        pieces: list[tuple[float, int]] = []  # when, and how many bytes

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(text)
            while data := await reader.read(1 << 16):
                pieces.append((time.monotonic() - began_s, len(data)))
            return bool(pieces)

        tried = await self._tried(address, port, timeout_s, talk)
        del tried["connect_s"]
        first_s, last_s = (pieces[0][0], pieces[-1][0]) if pieces else (None, None)
        counts = {"sent_bytes": len(text), "received_bytes": sum(size for _, size in pieces)}
        return tried | counts | {"first_s": first_s, "last_s": last_s}

    async def _tried(
        self, address: str, port: int, timeout_s: float, talk: Callable[..., Awaitable[bool]]
    ) -> dict[str, Any]:
        """How a connection went on which `talk` says whether there was an answer."""
        began_s = time.monotonic()
        outcome, connect_s, writer = "silent", None, None
        local = (self._own, 0) if self._own else None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(address, port, local_addr=local)
                connect_s = time.monotonic() - began_s
                outcome = "answered" if await talk(reader, writer) else "closed"
        except TimeoutError:
            pass
        except ConnectionRefusedError:
            outcome = "refused"
        except (ConnectionResetError, BrokenPipeError):
            outcome = "reset"
        seconds = time.monotonic() - began_s
        if writer:
            writer.transport.abort()
        return {"outcome": outcome, "seconds": seconds, "connect_s": connect_s}

    async def listening(self, address: str, port: int, timeout_s: float) -> bool:
        """Wait until something accepts connections there; whether it did in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        local = (self._hand, 0) if self._hand else None
                        _, writer = await asyncio.open_connection(address, port, local_addr=local)
                    except OSError:
                        await asyncio.sleep(LISTEN_RETRY_S)
                        continue
                    writer.transport.abort()
                    return True
        return False

    async def http(
        self, address: str, port: int, method: str, path: str, body: str | None, timeout_s: float
    ) -> dict[str, Any]:
        """An HTTP request straight to a service."""

        def ask() -> dict[str, Any]:
            local = (self._hand, 0) if self._hand else None
            connection = http.client.HTTPConnection(address, port, timeout_s, local)
            headers = {} if body is None else {"Content-Type": "application/json"}
            try:
                connection.request(method, path, None if body is None else body.encode(), headers)
                answer = connection.getresponse()
                return {"status": answer.status, "body": answer.read().decode(errors="replace")}
            finally:
                connection.close()

        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._requests, ask)
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise OrderError(f"{method} {path} at {address}:{port}: {why}") from error
