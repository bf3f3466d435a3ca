"""Carries orders out, each on its own, on containers that it was told of."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

from . import ballast, clocks, throttle
from .files import FileLimit, limited
from .groups import Group, InsideError, group_of
from .holder import Holder

CGROUPS = Path("/host/cgroup")
"""Where the cgroups of the daemon's machine are mounted."""


class Inside(Holder):
    """Public methods are the orders; their arguments are the keys of the message."""

    def __init__(self, cgroups: Path = CGROUPS) -> None:
        super().__init__()
        self._cgroups = cgroups
        self._groups: dict[str, Group] = {}
        self._limited: dict[str, int] = {}  # containers that ever were, for a look at what is left
        self._clocks: set[str] = set()
        self._throttled: set[tuple[str, str]] = set()

    async def meet(self, container: str, pid: int) -> None:
        """Learn of a container, by its first process; it keeps its cgroup's name for good."""
        self._groups[container] = group_of(container, pid, self._cgroups)

    async def room(self, container: str, path: str, wanted_bytes: int) -> dict[str, Any] | None:
        """What there is of the disk that `path` is on; None while the container is down."""
        pid = self._somebody(container)
        if pid is None:
            return None
        return await asyncio.to_thread(ballast.room, pid, path, wanted_bytes)

    async def fill(self, container: str, path: str, free_bytes: int) -> None:
        """Leave so much room on that disk, and no more, until it is emptied."""
        key = ("disk", container, path)
        held = self._held.get(key)
        if isinstance(held, ballast.Ballast):
            held.free_bytes = free_bytes
        else:
            held = ballast.Ballast(partial(self._somebody, container), path, free_bytes)
        await self._keep(key, held)

    async def empty(self, container: str, path: str) -> None:
        """Give the room back."""
        await self._let_go(("disk", container, path))

    async def file_limits(self, container: str) -> list[tuple[int, int, int, int]]:
        """Process, soft limit, hard limit and number of open files, for all of a container."""
        return [astuple(one) for one in limited(self._members(container)())]

    async def limit_files(self, container: str, files: int) -> None:
        """No process may have more open, until that is taken back."""
        key = ("files", container)
        self._limited[container] = files
        held = self._held.get(key)
        if isinstance(held, FileLimit):
            held.files = files
        else:
            held = FileLimit(self._members(container), files)
        await self._keep(key, held)

    async def unlimit_files(self, container: str) -> None:
        """As before."""
        await self._let_go(("files", container))

    async def disk(self, container: str, path: str) -> dict[str, Any] | None:
        """What its cgroup allows on the disk that `path` is on; None while it is down."""
        pid = self._somebody(container)
        if pid is None:
            return None
        group = self._groups[container]
        limits = throttle.in_force(group, throttle.device_of(pid, path))
        return {"why_not": throttle.why_not(group), **limits}

    async def speed(
        self, container: str, path: str, within_s: float, timeout_s: float
    ) -> dict[str, float] | None:
        """Bytes per second written and read; None while the container is down."""
        pid = self._somebody(container)
        if pid is None:
            return None
        async with asyncio.timeout(timeout_s):
            group = self._groups[container]
            return await asyncio.to_thread(throttle.speed, group, pid, path, within_s)

    async def throttle(
        self, container: str, path: str, write: int | None, read: int | None
    ) -> None:
        """Limit what it writes to and reads from that disk, until that is taken back."""
        pid = self._somebody(container)
        if pid is None:
            raise InsideError("it does not run")
        device = throttle.device_of(pid, path)
        self._throttled.add((container, device))
        held = throttle.Throttle(self._groups[container], device, write, read)
        await self._keep(("throttle", container, path), held)

    async def unthrottle(self, container: str, path: str) -> None:
        """No limit."""
        await self._let_go(("throttle", container, path))

    async def clock(self, container: str) -> dict[str, Any] | None:
        """How its wall clock stands, and why it cannot be set; None while it is down."""
        pid = self._somebody(container)
        if pid is None:
            return None
        why = await asyncio.to_thread(clocks.why_not, self._members(container)())
        offset_s = None if why else await asyncio.to_thread(clocks.offset_s, pid)
        return {"offset_s": offset_s, "why_not": why}

    async def set_clock(self, container: str, by_s: float) -> None:
        """Set its wall clock off by so much; what is down begins with that."""
        held = clocks.Clock(partial(self._somebody, container), by_s)
        self._clocks.add(container)
        key = ("clock", container)
        await self._keep(key, held)
        if held.is_right:
            await self._let_go(key)

    async def left(self) -> list[tuple[str, str]]:
        """What is still in force, as container and words: asked of the kernel, not of a list."""
        found = [
            (str(key[1]), f"the disk of {key[2]} holds {held.size_bytes} bytes of the lab")
            for key, held in self._held.items()
            if isinstance(held, ballast.Ballast) and held.size_bytes
        ]
        for container, files in self._limited.items():
            low = [one.pid for one in limited(self._members(container)()) if one.soft == files]
            found += [(container, f"process {pid} may have only {files} files open") for pid in low]
        for container in self._clocks:
            pid = self._somebody(container)
            if pid is not None and (offset := clocks.said(pid)) != clocks.RIGHT:
                found.append((container, f"its clock is off by {offset} s"))
        for container, device in self._throttled:
            limits = throttle.in_force(self._groups[container], device)
            found += [
                (container, f"its disk may {way} only {limit} bytes per second")
                for way, limit in limits.items()
                if limit is not None
            ]
        return found

    async def carry_out(self, order: dict[str, Any]) -> None:
        """One order, and its answer."""
        answer: dict[str, Any] = {"id": order.pop("id")}
        try:
            answer["is"] = await getattr(self, order.pop("do"))(**order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other end must hear of it
            answer["error"] = str(error) or type(error).__name__
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def _members(self, container: str) -> Callable[[], list[int]]:
        if container not in self._groups:
            raise InsideError(f"nobody has told of container {container[:12]}")
        return self._groups[container].members

    def _somebody(self, container: str) -> int | None:
        """A process of a container whose files can be seen."""
        for pid in self._members(container)():
            if Path(f"/proc/{pid}/root/.").exists():
                return pid
        return None
