"""One try of a link, short or long, made in the proxy's own process, through its listener."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

from lab.proxies.embedded import sockets
from lab.proxies.embedded.bodies import ApiError
from lab.proxies.embedded.proxy import Proxy
from lab.proxies.greetings import greeting

_READ_BYTES = 1 << 16


class Tried(NamedTuple):
    """How it went, as `lab.engines.Probe`."""

    outcome: str
    seconds: float
    connect_s: float | None


class Exchanged(NamedTuple):
    """How a longer one went, as `lab.engines.Exchange`."""

    outcome: str
    seconds: float
    sent_bytes: int
    received_bytes: int
    first_s: float | None
    last_s: float | None


async def probe(proxy: Proxy, timeout_s: float, port: int | None) -> Tried:
    """Connect, say something harmless, wait for the first byte.

    `port` decides what is said; by default the port that the proxy leads to.
    """
    loop = asyncio.get_running_loop()
    began_s = time.monotonic()
    connect_s = None
    hello = greeting(port or sockets.split(proxy.upstream)[1])
    try:
        with _client(proxy) as client:
            async with asyncio.timeout(timeout_s):
                await sockets.connected(client)
                connect_s = time.monotonic() - began_s
                await loop.sock_sendall(client, hello)
                outcome = "answered" if await loop.sock_recv(client, 1) else "closed"
    except OSError as error:
        outcome = _outcome_of(error, proxy)
    return Tried(outcome, time.monotonic() - began_s, connect_s)


async def exchange(proxy: Proxy, timeout_s: float, text: bytes) -> Exchanged:
    """Say all of it and listen until the server closes."""
    began_s = time.monotonic()
    received_bytes, first_s, last_s = 0, None, None
    try:
        with _client(proxy) as client:
            async with asyncio.timeout(timeout_s):
                await sockets.connected(client)
                reader, writer = await asyncio.open_connection(sock=client)
                try:
                    writer.write(text)
                    while data := await reader.read(_READ_BYTES):
                        last_s = time.monotonic() - began_s
                        first_s = first_s or last_s
                        received_bytes += len(data)
                finally:
                    writer.transport.abort()
        outcome = "answered" if received_bytes else "closed"
    except OSError as error:
        outcome = _outcome_of(error, proxy)
    seconds = time.monotonic() - began_s
    return Exchanged(outcome, seconds, len(text), received_bytes, first_s, last_s)


@contextlib.contextmanager
def _client(proxy: Proxy) -> Iterator[socket.socket]:
    """A socket that has begun to connect to the proxy, which knows that it is the lab's own."""
    address = sockets.reachable(sockets.split(proxy.listen))
    client = sockets.tcp(address)
    own = None
    try:
        sockets.begin(client, address)
        # Before the proxy accepts, which it does on a later turn of this same loop.
        own = client.getsockname()[:2]
        proxy.probing.add(own)
        yield client
    finally:
        if own:
            proxy.probing.discard(own)
        client.close()


def _outcome_of(error: OSError, proxy: Proxy) -> str:
    """What the end of a try by an error means."""
    if isinstance(error, TimeoutError):
        return "silent"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    raise ApiError(f"probing {proxy.name}: {error.strerror or error}", 500) from None
