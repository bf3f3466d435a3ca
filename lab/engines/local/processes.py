"""What the system says of processes: read from /proc on Linux, through psutil elsewhere.

A process is its id and its start, because ids are given anew; nothing here signals a process that
is not the very one that was meant.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

Children = Callable[[int], list[int]]
"""The ids of a process's children, by its own."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process and no other: `started` differs for every process that ever has this id."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A process at one moment; `cpu_s` includes the children that it has waited for.

    `status`: `stopped` only when every thread is; a `zombie` waits for its parent to notice.
    """

    process: Process
    parent: int
    session: int
    status: Literal["running", "stopped", "zombie"]
    cpu_s: float


class Processes(Protocol):
    """One way to look at processes. What is gone, or not ours to see, is None or empty."""

    def look(self, pid: int) -> Seen | None:
        """What a process is doing."""
        ...

    def family(self) -> Children:
        """How to find children; use it at once, it may be a picture of this moment."""
        ...

    def everyone(self) -> list[int]:
        """Every process that can be seen."""
        ...

    def environment(self, pid: int) -> dict[str, str]:
        """Its environment as it was at its start; some programs write over it."""
        ...

    def folder(self, pid: int) -> str:
        """The folder in which it works."""
        ...

    def has_terminal(self, pid: int) -> bool:
        """Whether somebody may be typing into it."""
        ...

    def memory_bytes(self, pid: int) -> int:
        """Its share of memory: pages shared by n processes count one nth where that is known."""
        ...

    def send(self, process: Process, number: int) -> bool:
        """Signal it; False when it is gone, whoever has its id now."""
        ...


def identity(pid: int) -> Process | None:
    """Which process has this id now."""
    seen = processes().look(pid)
    return seen.process if seen else None


def is_alive(process: Process) -> bool:
    """Whether this very process still runs."""
    seen = processes().look(process.pid)
    return seen is not None and seen.process == process and seen.status != "zombie"


@cache
def processes() -> Processes:
    """The best way on this system."""
    return LinuxProcesses() if sys.platform == "linux" else PortableProcesses()


class LinuxProcesses:
    """From /proc; 30 us a process."""

    def __init__(self) -> None:
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        # Starts count from the boot, so the boot belongs to them.
        self._boot = _text("/proc/sys/kernel/random/boot_id")[:8]
        self._tells_children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()

    def look(self, pid: int) -> Seen | None:
        """From `stat`: fields are counted after the name, which may hold spaces (proc(5))."""
        fields = _stat(f"/proc/{pid}/stat")
        if not fields:
            return None
        status: Literal["running", "stopped", "zombie"] = "running"
        threads = int(fields[17])
        if fields[0] in "Tt" and (threads == 1 or self._all_stopped(pid)):
            status = "stopped"
        elif fields[0] in "ZX" and threads <= 1:  # or only its first thread has ended
            status = "zombie"
        cpu_s = sum(map(int, fields[11:15])) * self._tick_s
        started = f"{fields[19]}-{self._boot}"
        return Seen(Process(pid, started), int(fields[1]), int(fields[3]), status, cpu_s)

    def family(self) -> Children:
        """Per thread, as the kernel keeps them; without that file, from every process's parent."""
        return self._children if self._tells_children else _by_parent(self)

    def everyone(self) -> list[int]:
        """The numbers in /proc."""
        return [int(name) for name in _names("/proc") if name.isdigit()]

    def environment(self, pid: int) -> dict[str, str]:
        """From `environ`."""
        pairs = _text(f"/proc/{pid}/environ").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def folder(self, pid: int) -> str:
        """From `cwd`."""
        with suppress(OSError):
            return str(Path(f"/proc/{pid}/cwd").readlink())
        return ""

    def has_terminal(self, pid: int) -> bool:
        """From `stat`: tty_nr."""
        fields = _stat(f"/proc/{pid}/stat")
        return bool(fields) and fields[4] != "0"

    def memory_bytes(self, pid: int) -> int:
        """The proportional set size, or the resident one where that is hidden."""
        for line in _text(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        statm = _text(f"/proc/{pid}/statm").split()
        return int(statm[1]) * self._page_bytes if statm else 0

    def send(self, process: Process, number: int) -> bool:
        """Through a handle on the process, which no later one of the same id can take over."""
        try:
            handle = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return False
        except OSError:  # an old kernel, or a sandbox that forbids it
            return _send_by_id(self, process, number)
        try:
            if not self._is(process):
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def _is(self, process: Process) -> bool:
        fields = _stat(f"/proc/{process.pid}/stat")
        return bool(fields) and f"{fields[19]}-{self._boot}" == process.started

    def _children(self, pid: int) -> list[int]:
        found: list[int] = []
        for thread in _names(f"/proc/{pid}/task"):
            found += map(int, _text(f"/proc/{pid}/task/{thread}/children").split())
        return found

    def _all_stopped(self, pid: int) -> bool:
        states = (
            _stat(f"/proc/{pid}/task/{thread}/stat") for thread in _names(f"/proc/{pid}/task")
        )
        return all(not fields or fields[0] in "TtZX" for fields in states)


class PortableProcesses:
    """Through psutil: macOS, and anywhere else it works."""

    def __init__(self) -> None:
        import psutil  # not needed, and so not loaded, on Linux

        self._psutil = psutil

    def look(self, pid: int) -> Seen | None:
        """In one go, as psutil does it best."""
        try:
            found = self._psutil.Process(pid)
            with found.oneshot():
                times = found.cpu_times()
                status = found.status()
                parent = found.ppid() or 0
                started = repr(found.create_time())
        except self._psutil.ZombieProcess:
            return Seen(Process(pid, _started_of(found)), 0, 0, "zombie", 0.0)
        except self._psutil.Error:
            return None
        named: dict[str, Literal["stopped", "zombie"]] = {"stopped": "stopped", "zombie": "zombie"}
        waited_s = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        cpu_s = times.user + times.system + waited_s
        session = 0
        with suppress(OSError):
            session = os.getsid(pid)
        return Seen(Process(pid, started), parent, session, named.get(status, "running"), cpu_s)

    def family(self) -> Children:
        """From every process's parent."""
        return _by_parent(self)

    def everyone(self) -> list[int]:
        """All ids."""
        return list(self._psutil.pids())

    def environment(self, pid: int) -> dict[str, str]:
        """Only of one's own processes on macOS."""
        return self._ask(pid, "environ") or {}

    def folder(self, pid: int) -> str:
        """Only of one's own processes on macOS."""
        return self._ask(pid, "cwd") or ""

    def has_terminal(self, pid: int) -> bool:
        """By its terminal's name."""
        return bool(self._ask(pid, "terminal"))

    def memory_bytes(self, pid: int) -> int:
        """The unique set size, or the resident one where that is hidden."""
        full = self._ask(pid, "memory_full_info")
        if full is not None:
            return int(getattr(full, "pss", full.uss))
        plain = self._ask(pid, "memory_info")
        return int(plain.rss) if plain else 0

    def send(self, process: Process, number: int) -> bool:
        """By id, just after looking whose it is: the system has nothing better."""
        return _send_by_id(self, process, number)

    def _ask(self, pid: int, what: str) -> Any:
        try:
            return getattr(self._psutil.Process(pid), what)()
        except (self._psutil.Error, OSError):
            return None


def _by_parent(table: Processes) -> Children:
    found: dict[int, list[int]] = defaultdict(list)
    for pid in table.everyone():
        if seen := table.look(pid):
            found[seen.parent].append(pid)
    return lambda pid: found.get(pid, [])


def _send_by_id(table: Processes, process: Process, number: int) -> bool:
    seen = table.look(process.pid)
    if seen is None or seen.process != process:
        return False
    with suppress(ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False


def _started_of(found: Any) -> str:
    with suppress(Exception):
        return repr(found.create_time())
    return ""


def _stat(path: str) -> list[str]:
    return _text(path).rpartition(")")[2].split()


def _names(path: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(path)  # noqa: PTH208 - names are all that is wanted
    return []


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - half the time of Path, and it is read often
            return file.read().decode(errors="replace")
    except OSError:
        return ""
