"""What a run says while it goes: the stream that terminal, live page and replay are drawn from.

`lab.run` emits these through one callback, in order. Times are run seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.experiment import Experiment
from lab.plan import Deployment
from lab.record import FaultRecord, Record


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
    """One finished second of one design: a window as `lab.checkers.per_second` makes them."""

    design: str
    window: Mapping[str, Any]


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


Message = Hello | Progress | PhaseStarted | Second | FaultChanged | Noted | Finished
Emit = Callable[[Message], None]
