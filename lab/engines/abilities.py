"""What a cluster may be able to *do* to the system, each a small protocol of its own.

A fault names the ones it needs; an engine that lacks one refuses the fault, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:  # small processes of an engine start quicker without the whole language of files
    from lab.plan import Instance, LinkEnd
    from lab.proxies import Stream, Way
    from lab.proxies.striking import Attempt, HttpRule, Strikes


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


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, and what it said on both outputs (the end of much)."""

    code: int
    output: str


class Session(Protocol):
    """A command that runs beside an instance's own processes, its standard input open."""

    async def write(self, text: str) -> None:
        """Put text into its standard input.

        Raises:
            EngineError: it has ended.
        """
        ...

    async def ended(self, timeout_s: float) -> Ended:
        """End its standard input, and wait until it has ended.

        Raises:
            EngineError: it has not, in that time; it was let go of.
        """
        ...

    async def close(self) -> None:
        """Let go of it: its standard input ends, and nobody waits for what it does then."""
        ...


@runtime_checkable
class Executable(Protocol):
    """Commands can be run inside instances, with their files and environment."""

    async def execute(
        self, instance: Instance, command: Sequence[str], user: str | None = None
    ) -> Session:
        """Start a command in an instance, as another user than its own where that is possible.

        Raises:
            EngineError: the instance does not run, or has no such program.
        """
        ...


Handling = Literal["caught", "pending", "not caught", "unknown"]
"""What the kernel says of a process and a signal; `unknown` where it does not tell."""


@runtime_checkable
class Signalable(Protocol):
    """The first process of an instance can be sent a signal."""

    async def signal(self, instance: Instance, word: str) -> None:
        """Send it a signal, such as `HUP`."""
        ...

    async def handling(self, instance: Instance, word: str) -> Handling:
        """Whether it has a handler for a signal, and none of that kind waits to be delivered."""
        ...


@runtime_checkable
class Killable(Protocol):
    """Instances can crash (SIGKILL, data kept) and be started again."""

    async def kill(self, instance: Instance) -> None:
        """Crash it; also make the links into it refuse, as a host without that listener does."""
        ...

    async def start(self, instance: Instance) -> None:
        """Start a crashed instance with its data and reopen the links into it."""
        ...


@dataclass(frozen=True, slots=True)
class Version:
    """What an instance runs instead of what its topology says; nothing given is the same as that.

    `environment` goes over the topology's; `moved` gives it an address that nothing ever had.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """The present, or last, life of an instance, as engine or kernel tell of it.

    `started_s` in Unix time; `number` is the container's or the process's; `environment` has at
    least what was set for it.
    """

    number: str
    started_s: float | None
    environment: Mapping[str, str]
    image: str
    address: str


@runtime_checkable
class Replaceable(Protocol):
    """An instance can be replaced by a new one: another version of it, as a deploy does."""

    async def provide(self, instance: Instance, version: Version) -> None:
        """Before any load: see to it that the instance can be replaced by this version.

        Raises:
            EngineError: it cannot, with the reason.
        """
        ...

    async def replace(
        self, instance: Instance, version: Version, grace_s: float, *, ready: bool = True
    ) -> None:
        """Stop it as `Stoppable.stop` does, start that version of it, wait until it is ready.

        Its volumes go with it, other files of it do not have to. Links into it are open when it
        is ready, also when nobody waits for that here.
        """
        ...

    async def life(self, instance: Instance) -> Life:
        """Which one runs, or ran last."""
        ...


@runtime_checkable
class Stoppable(Killable, Protocol):
    """Instances can be asked to end, as a deploy or a scale-down does."""

    async def stop(self, instance: Instance, grace_s: float) -> None:
        """Send its stop signal, crash it if it has not ended in time, then make its links refuse.

        Until it has ended the links stay open, so that it can answer what it has begun.
        """
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """A failpoint of a process, by its own word; `life` is another one after each start of it.

    `reached` and `struck` count since it was armed, `held` is how many wait there now.
    """

    life: str
    armed: bool
    reached: int
    struck: int
    held: int


@runtime_checkable
class Armable(Protocol):
    """Services with failpoints (docs/failpoints.md) can be told to fail at a line of theirs."""

    async def arm(self, instance: Instance, point: str, settings: Mapping[str, str]) -> Point:
        """Let it fail there; from now until disarmed, its death is no surprise.

        Raises:
            EngineError: it does not answer.
            InjectionError: it has no failpoints, or refuses these settings.
        """
        ...

    async def disarm(self, instance: Instance, point: str) -> None:
        """Nothing fails there any more; what was held or stopped goes on.

        Raises:
            EngineError: it runs and does not answer.
        """
        ...

    async def point(self, instance: Instance, point: str, timeout_s: float) -> Point | None:
        """What it says of a point; None when it does not answer in time, or has no failpoints."""
        ...


@runtime_checkable
class Scrapable(Protocol):
    """What instances tell of themselves can be asked for now, and not only once a second."""

    async def scrape(self, instance: Instance, timeout_s: float = 1.0) -> str:
        """Its metrics in Prometheus' text format, past every fault, by its exporter if it has one.

        Raises:
            EngineError: it has none, or does not answer in time.
        """
        ...


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


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What is wrong with the answers to questions for a name (DNS).

    They say `rcode` (`NXDOMAIN`, `SERVFAIL`), do not come at all (`silent`), name an address at
    which nobody is any more (`stale`), or come `delay_s` late.
    """

    rcode: str | None = None
    silent: bool = False
    stale: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of a name server; `rcode` is None when none came. `is_right`: as it should be."""

    rcode: str | None
    addresses: tuple[str, ...]
    is_right: bool
    seconds: float


@runtime_checkable
class Resolvable(Protocol):
    """Instances that the plan names for it find others by DNS, and can be answered wrongly."""

    async def spoil_names(
        self, instances: Sequence[Instance], name: str, why: str, spoiling: Spoiling
    ) -> None:
        """Answer these instances' questions for a name wrongly, in the name of `why`.

        Raises:
            InjectionError: one of them does not use DNS.
        """
        ...

    async def mend_names(self, instances: Sequence[Instance], name: str, why: str) -> None:
        """Answer rightly again, if nobody else wants otherwise."""
        ...

    async def look_up(self, instance: Instance, name: str, timeout_s: float) -> Answer:
        """Ask for a name as that instance would."""
        ...

    async def lookups(self, instances: Sequence[Instance], name: str, why: str) -> tuple[int, int]:
        """How often these instances looked it up since they are up, and how often `why` hit."""
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


@runtime_checkable
class Interceptable(Protocol):
    """Single HTTP requests of a link can be struck, on links that the plan names for it."""

    async def strike(self, rules: Mapping[str, HttpRule]) -> None:
        """Strike requests from now on, by one rule on each of these link ends (`LinkEnd.name`).

        A rule that is on already stays, with its counts.

        Raises:
            InjectionError: nothing that knows HTTP is in the path of one of them.
        """
        ...

    async def spare(self, ends: Sequence[LinkEnd], rule: str) -> None:
        """Strike by the rule of that name no more; sparing what is not struck changes nothing."""
        ...

    async def strikes(self, ends: Sequence[LinkEnd], rule: str) -> dict[str, Strikes | None]:
        """What a rule has counted, by link end; still there once it is off, None before."""
        ...

    async def attempt(self, end: LinkEnd, pretends: str | None, timeout_s: float) -> Attempt:
        """One harmless request over a link, from the client's side of its proxy.

        With `METHOD PATH RULE`, that rule, if it is on, takes it for one that it is about and
        strikes it, uncounted; to the server it is the same harmless request.
        """
        ...


@runtime_checkable
class Pausable(Protocol):
    """Instances can be frozen whole; their kernel still completes TCP handshakes."""

    async def pause(self, instance: Instance) -> None:
        """Freeze every process of it."""
        ...

    async def resume(self, instance: Instance) -> None:
        """Let it go on."""
        ...


@runtime_checkable
class Resettable(Protocol):
    """Connections of a link that are open can be reset, idle ones as well."""

    async def reset(self, ends: Sequence[LinkEnd]) -> None:
        """Both of their ends see a reset at once; connections opened later are not touched."""
        ...


@runtime_checkable
class Partitionable(Protocol):
    """Packets of a link can be dropped; established connections stall and go on after healing."""

    async def cut(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Drop every packet of these link ends; cutting what is cut changes nothing.

        One way: `upstream` drops what clients send, `downstream` what servers send. New
        connections hang with either; those there are still carry bytes the other way. It lasts for
        as long as it is wanted in anybody's name (`why`).
        """
        ...

    async def mend(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Stop dropping in that name; mending what is whole changes nothing."""
        ...

    async def cuts(self) -> Mapping[str, Sequence[str]]:
        """In whose names link ends are cut, by `LinkEnd.name`: the word of whoever drops."""
        ...

    async def passing(self, end: LinkEnd, timeout_s: float = 1.0) -> frozenset[Stream]:
        """The streams in which something sent now does arrive, past toxics and new connections."""
        ...
