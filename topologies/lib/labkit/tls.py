"""`python3 -m labkit.tls`: serve `main:app` over TLS on port 8443, and plainly on port 8000.

The plain port is for metrics, readiness and the lab's orders, which are about the service and not
part of its work. SIGHUP loads the certificate anew; connections that are open keep the old one.

CERTIFICATES  folder with cert.pem and key.pem
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Iterator
from os import environ
from pathlib import Path

import uvicorn

_LOG = logging.getLogger("uvicorn.error")


class _Server(uvicorn.Server):
    """One of two in a process: signals are for both, so neither takes them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _configured(port: int, **settings: object) -> uvicorn.Config:
    """As the other services of the shop are started."""
    return uvicorn.Config(
        "main:app",
        host="0.0.0.0",
        port=port,
        access_log=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        **settings,  # type: ignore[arg-type]
    )


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    folder = Path(environ["CERTIFICATES"])
    pair = {"certfile": folder / "cert.pem", "keyfile": folder / "key.pem"}
    plain = _configured(8000)
    secure = _configured(
        8443, lifespan="off", ssl_certfile=pair["certfile"], ssl_keyfile=pair["keyfile"]
    )
    secure.load()
    servers = [_Server(plain), _Server(secure)]

    def end() -> None:
        for server in servers:
            server.should_exit = True

    def load() -> None:
        try:
            secure.ssl.load_cert_chain(**pair)
        except (OSError, ssl.SSLError) as error:  # what was loaded before is served on
            _LOG.error("the certificate cannot be loaded: %s", error)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, load)
    await asyncio.gather(*(server.serve() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
