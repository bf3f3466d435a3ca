"""Ending containers: asking them to, crashing them. One that has just ended is as good."""

from __future__ import annotations

import asyncio
import contextlib

from lab.engines.docker.daemon import Daemon
from lab.errors import EngineError

_LOOK_S = 0.02


async def ask_to_end(daemon: Daemon, container: str, within_s: float) -> None:
    """Send its stop signal and wait until it has ended, or until that time is over.

    The daemon's own way counts whole seconds only.
    """
    found = await daemon.call(daemon.api.inspect_container, container)
    await _signal(daemon, container, found["Config"].get("StopSignal") or "SIGTERM")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while found["State"]["Running"]:
                await asyncio.sleep(_LOOK_S)
                found = await daemon.call(daemon.api.inspect_container, container)


async def crash(daemon: Daemon, container: str) -> None:
    """SIGKILL; it has ended afterwards."""
    await _signal(daemon, container, "SIGKILL")


async def _signal(daemon: Daemon, container: str, word: str) -> None:
    try:
        await daemon.call(daemon.api.kill, container, word)
    except EngineError:
        found = await daemon.call(daemon.api.inspect_container, container)
        if found["State"]["Running"]:
            raise
