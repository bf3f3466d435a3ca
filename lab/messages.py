"""What a run says while it goes: the stream that terminal, live page and replay are drawn from.

`lab.run` emits these through one callback, in order. Times are run seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.experiment import Experiment
from lab.history import Op
from lab.plan import Deployment
from lab.record import FaultRecord, Record

Guess = Literal["breaks", "holds"]


@dataclass(frozen=True, slots=True)
class Hello:
    """First message: what will run, where, and why on that engine."""

    experiment: Experiment
    deployment: Deployment
    engine: str
    engine_reason: str
    run_id: str
    seed: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Something the person waits for: an image being built, services starting."""

    text: str


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of the timeline begins."""

    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Second:
    """One finished second of one design: a window as `lab.checkers.live_window` makes them.

    `errors` counts by reason what was not ok; `failed` are the latest few of these operations.
    """

    design: str
    window: Mapping[str, Any]
    errors: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[Op, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """What each link end carried since it exists, in bytes, both ways together."""

    at_s: float
    links: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sampled:
    """The latest value of each metric of `watch`, in its order, by design; None: not scraped."""

    at_s: float
    values: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True, slots=True)
class Explained:
    """The `why` sentences by design, with the numbers measured until now."""

    at_s: float
    whys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """The lab's own part of all CPU spent since the load began, and how many cores that is."""

    at_s: float
    share: float
    cores: float


@dataclass(frozen=True, slots=True)
class Guessed:
    """What the person in front of it thinks that a design will do, said before the fault."""

    at_s: float
    design: str
    guess: Guess


@dataclass(frozen=True, slots=True)
class FaultChanged:
    """A fault moved on: `before`, `injected`, `bit`, `healed`, `gone` or `problem`."""

    record: FaultRecord
    stage: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something worth a line in the log."""

    at_s: float
    text: str
    level: Literal["info", "warning", "problem"] = "info"


@dataclass(frozen=True, slots=True)
class Finished:
    """Last message: the record, judged."""

    record: Record


Message = (
    Hello
    | Progress
    | PhaseStarted
    | Second
    | Carried
    | Sampled
    | Explained
    | Observed
    | Guessed
    | FaultChanged
    | Noted
    | Finished
)
Emit = Callable[[Message], None]
