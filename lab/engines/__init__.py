"""What an engine is: it brings a deployment up and yields a cluster. Protocols only.

A cluster answers questions (probe, state, usage, logs) and carries channels to the drivers. What
it can *do* to the system is in small protocols of their own (`lab.engines.abilities`), so that a
fault can say, with the reason, that an engine cannot host it.

All times in seconds; methods are coroutines because every engine waits for something outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lab.engines.abilities import (
    Answer,
    Armable,
    DiskFillable,
    DiskLimits,
    DiskSpeed,
    DiskThrottleable,
    Ended,
    Executable,
    FileLimitable,
    FileLimits,
    Handling,
    Interceptable,
    Killable,
    Life,
    Limits,
    MemoryLimitable,
    Partitionable,
    Pausable,
    Point,
    Replaceable,
    Resettable,
    Resolvable,
    Room,
    Scrapable,
    Session,
    Signalable,
    Skewable,
    Spoiling,
    Stoppable,
    Throttleable,
    Version,
    WallClock,
)
from lab.engines.certified import Certified, Flaw, Handshake, Outcome
from lab.engines.packets import Disturbable, Disturbance, Unpluggable, Volley

if TYPE_CHECKING:  # small processes of an engine start quicker without the whole language of files
    from lab.history import Sample
    from lab.plan import Deployment, Instance, LinkEnd
    from lab.proxies import Proxies, Stream

__all__ = [
    "Answer",
    "Armable",
    "Bypasses",
    "Certified",
    "Cluster",
    "DiskFillable",
    "DiskLimits",
    "DiskSpeed",
    "DiskThrottleable",
    "Disturbable",
    "Disturbance",
    "Driver",
    "Ended",
    "Engine",
    "Exchange",
    "Executable",
    "FileLimitable",
    "FileLimits",
    "Flaw",
    "Handling",
    "Handshake",
    "Interceptable",
    "Killable",
    "Life",
    "Limits",
    "MemoryLimitable",
    "Outcome",
    "Partitionable",
    "Pausable",
    "Point",
    "Probe",
    "Replaceable",
    "Resettable",
    "Resolvable",
    "Room",
    "Say",
    "Scrapable",
    "Session",
    "Signalable",
    "Skewable",
    "Spoiling",
    "State",
    "Stoppable",
    "Throttleable",
    "Traffic",
    "Unpluggable",
    "Usage",
    "Version",
    "Volley",
    "WallClock",
    "Wanted",
]

Say = Callable[[str], None]
"""Tells the person one line about progress."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One try of a link, from the client's side of its proxy.

    `outcome`: `answered` (a byte came back after `seconds`), `silent` (connected or not, nothing
    came back in time), `refused`, `reset` (connection reset), `closed` (closed with no answer).
    `connect_s` is None when the connection was not established.
    """

    outcome: Literal["answered", "silent", "refused", "reset", "closed"]
    seconds: float
    connect_s: float | None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One longer try of a link: many bytes to the server or back, until the server closes.

    `outcome`: as in `Probe`; `answered` means answers and then the end of the connection. `silent`
    means no end in time, whatever came before. Times count from before connecting: `first_s` and
    `last_s` those of the first and last byte of answers, `seconds` that of the end.
    """

    outcome: Literal["answered", "silent", "refused", "reset", "closed"]
    seconds: float
    sent_bytes: int
    received_bytes: int
    first_s: float | None
    last_s: float | None


@dataclass(frozen=True, slots=True)
class State:
    """What the engine says of an instance: status `running`, `paused`, `exited` or `missing`.

    `started_s` is the Unix time at which its present, or last, life began: another one after
    every start.
    """

    status: str
    exit_code: int | None = None
    oom_killed: bool = False
    started_s: float | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a link end carried since it exists, counted at packet level in both directions."""

    packets: int
    bytes: int
    dropped_packets: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What an instance consumed: CPU-seconds since its start, peak and current memory in bytes."""

    cpu_s: float
    memory_bytes: int
    memory_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Bypasses:
    """What looking for connections past the proxies found: in words, after so many looks."""

    looks: int
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run asks of an engine besides the deployment.

    `run_id` labels everything created; `out` is the run's folder, where logs go; `drivers` says
    whether load drivers are started; `keep` leaves everything up (for `lab up`);
    `grafana` starts one with the project's dashboards beside it.
    """

    run_id: str
    out: Path
    drivers: bool = True
    keep: bool = False
    grafana: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


class Driver(Protocol):
    """A channel to the load driver of one design; messages are those of `lab.load.driver`."""

    design: str
    clock_offset_s: float
    """Add to a reading of the driver's monotonic clock to get one of this process's."""
    clock_uncertainty_s: float

    async def send(self, message: Mapping[str, Any]) -> None:
        """Hand one message to the driver."""
        ...

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """The driver's messages, until it ends."""
        ...


class Cluster(Protocol):
    """A deployment that is up and healthy."""

    engine: str
    deployment: Deployment
    proxies: Proxies

    async def driver(self, design: str) -> Driver:
        """The load driver of a design."""
        ...

    async def probe(self, end: LinkEnd, timeout_s: float = 1.0) -> Probe:
        """Send a few harmless bytes through a link and wait for the first byte back."""
        ...

    async def exchange(
        self, end: LinkEnd, stream: Stream, size_bytes: int, timeout_s: float
    ) -> Exchange:
        """Carry about so many harmless bytes over a link, to the server or back, and hang up."""
        ...

    async def http(
        self, instance: Instance, method: str, path: str, body: str | None = None
    ) -> tuple[int, str]:
        """An administrative request straight to an instance's metrics port, past every fault."""
        ...

    async def state(self, instance: Instance) -> State:
        """What the instance is doing now."""
        ...

    async def traffic(self) -> dict[str, Traffic]:
        """What each link end carried, by `LinkEnd.name`."""
        ...

    async def usage(self) -> dict[str, Usage]:
        """By instance name; the lab's own parts as `lab/toxiproxy`, `lab/driver/NAME` and so on."""
        ...

    async def publish(self, exposition: str) -> None:
        """Offer the lab's own metrics (Prometheus text format) for scraping."""
        ...

    async def samples(
        self, start_unix_s: float, end_unix_s: float, names: Collection[str]
    ) -> list[Sample]:
        """Scraped values of these metrics; `at_s` is still Unix time here."""
        ...

    async def versions(self) -> dict[str, str]:
        """Versions of the engine and of the lab's parts, for the report."""
        ...

    async def residue(self) -> list[str]:
        """What faults left: toxics, disabled proxies, drop rules, paused or dead instances.

        Each text starts with the unique name of the link end or instance.
        """
        ...

    async def bypasses(self) -> Bypasses | None:
        """Connections seen that go past the proxy of their link; None where nobody looks.

        An engine on which every packet of a link must take the link's address need not look.
        """
        ...

    def deaths(self) -> AsyncIterator[tuple[str, str]]:
        """Instances that end although nothing of the lab ended them, as (unique name, why)."""
        ...

    def addresses(self) -> dict[str, str]:
        """Addresses on this machine: `toxiproxy`, `prometheus`, and for a kept topology `entry`.

        A request to `entry` goes through the client's link.
        """
        ...


class Engine(Protocol):
    """Something that can run a deployment."""

    name: str

    def up(
        self, deployment: Deployment, wanted: Wanted, say: Say
    ) -> AbstractAsyncContextManager[Cluster]:
        """Bring everything up, wait until healthy, yield the cluster; take it down on any exit."""
        ...
