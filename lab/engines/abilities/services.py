"""What a cluster may be able to do with the services themselves: end them, run things in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:  # small processes of an engine start quicker without the whole language of files
    from lab.plan import Instance


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
class Pausable(Protocol):
    """Instances can be frozen whole; their kernel still completes TCP handshakes."""

    async def pause(self, instance: Instance) -> None:
        """Freeze every process of it."""
        ...

    async def resume(self, instance: Instance) -> None:
        """Let it go on."""
        ...
