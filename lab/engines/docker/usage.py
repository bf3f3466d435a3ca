"""What containers consume, over restarts: from the kernel's files, or else from the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lab.engines import Usage
from lab.engines.docker.cgroup import read_cgroup
from lab.engines.docker.daemon import Daemon
from lab.errors import EngineError

_NONE = Usage(0.0, 0, 0)


class UsageMeter:
    """Adds up CPU over restarts, which begin at zero again, and keeps the peak of the memory.

    Peaks count the page cache, as the container's limit does; the current memory leaves out what
    the kernel would give back at once, as `docker stats` does.
    """

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._past_s: dict[str, float] = {}  # CPU of lives that are over, by container
        self._last: dict[str, Usage] = {}

    async def read_all(self, containers: Mapping[str, str]) -> dict[str, Usage]:
        """Usage by name, of container ids by name; all at once."""
        read = await asyncio.gather(*(self._read(container) for container in containers.values()))
        return dict(zip(containers, read, strict=True))

    async def remember(self, container: str) -> None:
        """Note what a container has used that is about to end, if that takes no time."""
        if usage := await self._from_files(container):
            self._add(container, usage)

    def follow(self, old: str, new: str) -> None:
        """A container takes the place of another: what that had used stays used."""
        last = self._last.get(old, _NONE)
        self._past_s[new] = last.cpu_s
        self._last[new] = Usage(last.cpu_s, 0, last.memory_peak_bytes)

    async def _read(self, container: str) -> Usage:
        try:
            usage = await self._from_files(container) or await self._from_daemon(container)
        except EngineError:
            return self._last.get(container, _NONE)  # it is gone: what it had used stays true
        return self._add(container, usage)

    async def _from_files(self, container: str) -> Usage | None:
        state = (await self._daemon.call(self._daemon.api.inspect_container, container))["State"]
        return read_cgroup(container, state["Pid"]) if state["Running"] else None

    async def _from_daemon(self, container: str) -> Usage:
        stats: Any = await self._daemon.call(
            self._daemon.api.stats, container, stream=False, one_shot=True
        )
        memory = stats.get("memory_stats", {})
        used, detail = memory.get("usage", 0), memory.get("stats", {})
        idle = detail.get("total_inactive_file", detail.get("inactive_file", 0))
        cpu = stats.get("cpu_stats", {}).get("cpu_usage", {})
        return Usage(
            cpu.get("total_usage", 0) / 1e9, max(0, used - idle), memory.get("max_usage", used)
        )

    def _add(self, container: str, usage: Usage) -> Usage:
        last = self._last.get(container, _NONE)
        past_s = self._past_s.get(container, 0.0)
        if past_s + usage.cpu_s < last.cpu_s:  # it was started anew since, or does not run
            past_s = self._past_s[container] = last.cpu_s
        added = self._last[container] = Usage(
            past_s + usage.cpu_s,
            usage.memory_bytes,
            max(last.memory_peak_bytes, usage.memory_peak_bytes),
        )
        return added
