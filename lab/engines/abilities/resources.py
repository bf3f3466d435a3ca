"""What a cluster may be able to take from services: CPU, memory, disk, files, the right time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # small processes of an engine start quicker without the whole language of files
    from lab.plan import Instance


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an instance may use: CPU in cores, memory in bytes; None is no limit."""

    cpus: float | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Room:
    """A disk of an instance, and whether it takes what was asked for: tried, not computed.

    `why_not` says why it must not be filled; "" when it is the instance's own and has a size.
    `memory_bytes` is what the machine that the disk is in could still give.
    """

    total_bytes: int
    free_bytes: int
    takes: bool
    why_not: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class WallClock:
    """How far an instance's wall clock is off; None, and why, where it cannot be set."""

    offset_s: float | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """Bytes per second that an instance may write to and read from a disk; None is no limit.

    `why_not` says why that cannot be changed here; "" when it can.
    """

    write: int | None
    read: int | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """Bytes per second of a write with fsync and of a read past the page cache, as tried."""

    write: float
    read: float


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How many files a process may have open (RLIMIT_NOFILE, soft and hard), and has."""

    pid: int
    soft: int
    hard: int
    opened: int


@runtime_checkable
class Throttleable(Protocol):
    """The CPU that instances may use can be changed while they run."""

    async def limits(self, instance: Instance) -> Limits:
        """What is in force now: the kernel's word where it can be read, else the engine's."""
        ...

    async def limit_cpus(self, instance: Instance, cpus: float | None) -> None:
        """Let it use that many cores, or without a limit."""
        ...


@runtime_checkable
class MemoryLimitable(Protocol):
    """The memory that instances may use can be changed while they run; beyond it they are killed.

    From a limit of the lab's until the topology's own is back, that death is no surprise.
    """

    async def limits(self, instance: Instance) -> Limits:
        """What is in force now: the kernel's word where it can be read, else the engine's."""
        ...

    async def limit_memory(self, instance: Instance, memory_bytes: int | None) -> None:
        """Let it use that many bytes, or without a limit.

        Raises:
            InjectionError: it uses more already, and this kernel does not take that.
        """
        ...


@runtime_checkable
class DiskFillable(Protocol):
    """A disk of an instance can be filled while it runs, if it has one of its own with a size.

    From then until it is emptied, a death of that instance is no surprise.
    """

    async def room(self, instance: Instance, path: str, wanted_bytes: int) -> Room | None:
        """What there is where `path` is, and whether so much more can be had; None while down."""
        ...

    async def fill_disk(self, instance: Instance, path: str, free_bytes: int) -> None:
        """Leave so much room and, whatever the instance deletes, no more."""
        ...

    async def empty_disk(self, instance: Instance, path: str) -> None:
        """Give the room back, and start an instance that ended by itself for want of it."""
        ...


@runtime_checkable
class Skewable(Protocol):
    """The wall clock of an instance can be set off for it alone; its monotonic clocks go on."""

    async def clock(self, instance: Instance) -> WallClock | None:
        """How its wall clock stands, as its own processes read it; None while it is down."""
        ...

    async def set_clock(self, instance: Instance, by_s: float) -> None:
        """Set it off by so much from this machine's; 0 is right. It stays over restarts."""
        ...


@runtime_checkable
class DiskThrottleable(Protocol):
    """The speed of a disk can be limited for an instance alone, while it runs."""

    async def disk_limits(self, instance: Instance, path: str) -> DiskLimits | None:
        """What the kernel allows on the disk that `path` is on; None while it is down.

        Raises:
            EngineError: `path` is on no disk.
        """
        ...

    async def disk_speed(self, instance: Instance, path: str, within_s: float) -> DiskSpeed | None:
        """Write and read a little under its limits; a limited one takes about `within_s`."""
        ...

    async def limit_disk(
        self, instance: Instance, path: str, write: int | None, read: int | None
    ) -> None:
        """Allow it so many bytes per second, in later lives as well."""
        ...

    async def unlimit_disk(self, instance: Instance, path: str) -> None:
        """Allow it all that the disk can do."""
        ...


@runtime_checkable
class FileLimitable(Protocol):
    """The number of files that processes of an instance may have open can be changed."""

    async def file_limits(self, instance: Instance) -> list[FileLimits]:
        """What the kernel says of each of its processes; nothing while it is down."""
        ...

    async def limit_files(self, instance: Instance, files: int) -> None:
        """Let no process of it have more open, those of later lives as well."""
        ...

    async def unlimit_files(self, instance: Instance) -> None:
        """Give each process back what it had."""
        ...
