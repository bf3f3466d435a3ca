"""The record of one finished run: everything the report, the summary and `lab check` read.

`lab.store` writes it to `runs/<experiment>/<time>-<id>/` and reads it back; nothing in it needs an
engine any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.errors import ExitCode
from lab.experiment import Experiment
from lab.history import History
from lab.verdict import Verdict


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault as it went. Times are run seconds; None where it never happened.

    `before`, `during` and `after` are what the probe measured ("round trip 0.4 ms"), in words.
    `bit` and `healed` are what was proved.

    `injected_s` and `healed_s` are when injecting and healing were ordered, `confirmed_s` when
    injecting was done, `gone_s` when it was seen to be gone; what healing takes lies between the
    last two. (The first runs ever made have in `healed_s` when it was done.)

    A fault with conditions has a record of each design it is in, `design`, that "" stands for what
    all designs share. `planned_s` is then from when on it was waited for, `triggered_s` when what
    it waited for happened; `started_by`, `ended_by` and `never` say in words what started and ended
    it, or why it never started.
    """

    name: str
    kind: str
    text: str
    targets: tuple[str, ...]
    planned_s: float
    injected_s: float | None = None
    confirmed_s: float | None = None
    healed_s: float | None = None
    gone_s: float | None = None
    before: str = ""
    during: str = ""
    after: str = ""
    bit: bool = False
    healed: bool = False
    design: str = ""
    triggered_s: float | None = None
    started_by: str = ""
    ended_by: str = ""
    never: str = ""

    @property
    def key(self) -> str:
        """Unique in the run, as a name alone is not where designs are broken one by one."""
        return f"{self.design}/{self.name}" if self.design else self.name

    @property
    def due_s(self) -> float:
        """When it had to be injected."""
        return self.planned_s if self.triggered_s is None else self.triggered_s


@dataclass(frozen=True, slots=True)
class Cost:
    """What one design used while the load was on.

    `containers` counts its instances, whatever engine runs them; `cpu_s` and `memory_peak_bytes`
    are of those, plus its share of the shared ones (split evenly between the designs);
    `operations` is how many were due.
    """

    containers: int
    cpu_s: float
    memory_peak_bytes: float
    operations: int

    @property
    def cpu_per_1000(self) -> float:
        """CPU-seconds per 1,000 operations."""
        return 1000 * self.cpu_s / self.operations if self.operations else 0.0


@dataclass(frozen=True, slots=True)
class Lag:
    """How late a design's driver sent: seconds between due and sent, where nothing held it back.

    `sent` of `due` operations left while the load was on; `saturated` counts those refused because
    too many were in flight.
    """

    p50_s: float
    p99_s: float
    max_s: float
    due: int
    sent: int
    saturated: int = 0


@dataclass(slots=True)
class Record:
    """One run; `costs`, `lags` and `whys` are by design.

    `observer_share` is the lab's own part of all CPU spent while the load was on, `observer_cores`
    the same as CPU-seconds per second. `links` says by link how many packets it carried while the
    baseline ran, to prove that traffic went through the proxies.
    """

    run_id: str
    experiment: Experiment
    engine: str
    started_unix_s: float
    seed: int
    history: History
    verdict: Verdict
    exit_code: ExitCode
    faults: tuple[FaultRecord, ...] = ()
    costs: Mapping[str, Cost] = field(default_factory=dict)
    lags: Mapping[str, Lag] = field(default_factory=dict)
    whys: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)
    observer_share: float = 0.0
    observer_cores: float = 0.0
    residue: tuple[str, ...] = ()
    interrupted: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    host: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
