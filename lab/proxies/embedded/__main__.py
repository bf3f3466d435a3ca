"""The proxy's process: `python -m lab.proxies.embedded [--api 127.0.0.1:0] [--seed TEXT]`.

Prints `{"is": "ready", "url": "http://HOST:PORT", "version": "…"}` once its API listens, and ends
with its stdin, so that it never outlives the run that started it. The log goes to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from lab import __version__
from lab.proxies.embedded import sockets
from lab.proxies.embedded.api import application
from lab.proxies.embedded.collection import Collection
from lab.proxies.embedded.listener import default_cutting

_NICENESS = -10
_FILES_WANTED = 1 << 20


class _Server(uvicorn.Server):
    """Serves the API in a loop that is not its own, and leaves the signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: the process ends with its stdin."""
        yield


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    proxies = Collection(loop, options.seed, options.cut_by)
    config = uvicorn.Config(
        application(proxies), lifespan="off", access_log=False, log_config=None, ws="none"
    )
    server = _Server(config)
    with _listen(options.api) as listening:
        serving = loop.create_task(server.serve([listening]))
        ready = {
            "is": "ready",
            "url": f"http://{sockets.join(listening.getsockname()[:2])}",
            "version": __version__,
        }
        print(json.dumps(ready), flush=True)
        ends = {serving}
        if not options.stay:
            ends.add(loop.create_task(_stdin_ended()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        proxies.close()
        os._exit(0)  # at once: whoever started it is gone


def _listen(text: str) -> socket.socket:
    """Where the API listens; from then on requests wait for their answers."""
    listening = sockets.tcp(sockets.split(text))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(sockets.split(text))
    listening.listen()
    return listening


async def _stdin_ended() -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while await reader.read(1 << 16):
        pass


def _prepare_process() -> None:
    """As many files as may be, before others in line for a CPU, and never stopped by Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        wanted = hard if 0 < hard < _FILES_WANTED else _FILES_WANTED
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    gc.freeze()  # what is imported stays: no need to look at it again


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m lab.proxies.embedded", description=__doc__)
    parser.add_argument("--api", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--seed", default=secrets.token_hex(8), help="decides about all chance")
    parser.add_argument(
        "--cut-by",
        choices=("backlog", "accept"),
        default=default_cutting(),
        help="how a cut link treats new connections",
    )
    parser.add_argument("--stay", action="store_true", help="live on when stdin ends")
    options = parser.parse_args()
    _prepare_process()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(options))


if __name__ == "__main__":
    main()
