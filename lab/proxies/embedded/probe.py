"""One try of a link, made in the proxy's own process, through its listener."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from lab.proxies.embedded import sockets
from lab.proxies.embedded.bodies import ApiError
from lab.proxies.embedded.proxy import Proxy
from lab.proxies.greetings import greeting


class Tried(NamedTuple):
    """How it went, as `lab.engines.Probe`."""

    outcome: str
    seconds: float
    connect_s: float | None


async def probe(proxy: Proxy, timeout_s: float, port: int | None) -> Tried:
    """Connect, say something harmless, wait for the first byte.

    `port` decides what is said; by default the port that the proxy leads to.
    """
    loop = asyncio.get_running_loop()
    began_s = time.monotonic()
    outcome, connect_s = "silent", None
    address = sockets.reachable(sockets.split(proxy.listen))
    hello = greeting(port or sockets.split(proxy.upstream)[1])
    own = None
    client = sockets.tcp(address)
    try:
        sockets.begin(client, address)
        # Before the proxy accepts, which it does on a later turn of this same loop.
        own = client.getsockname()[:2]
        proxy.probing.add(own)
        async with asyncio.timeout(timeout_s):
            await sockets.connected(client)
            connect_s = time.monotonic() - began_s
            await loop.sock_sendall(client, hello)
            outcome = "answered" if await loop.sock_recv(client, 1) else "closed"
    except TimeoutError:
        pass
    except ConnectionRefusedError:
        outcome = "refused"
    except (ConnectionResetError, BrokenPipeError):
        outcome = "reset"
    except OSError as error:
        raise ApiError(f"probing {proxy.name}: {error.strerror or error}", 500) from None
    finally:
        seconds = time.monotonic() - began_s
        if own:
            proxy.probing.discard(own)
        client.close()
    return Tried(outcome, seconds, connect_s)
