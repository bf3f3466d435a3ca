"""The interceptor's process: reads orders from stdin until it ends, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable

from lab.proxies.interceptor.orders import Interceptor

_NICENESS = -10
_FILES_WANTED = 1 << 20


async def _serve() -> None:
    """Carry out orders, each on its own, so that none waits for a probe."""
    interceptor = Interceptor()
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    under_way: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(interceptor.carry_out(json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    os._exit(0)  # at once: whoever gave orders is gone


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
    _prepare_process()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve())


if __name__ == "__main__":
    main()
