"""One pure reducer over a run's messages: state = reduce(messages).

Terminal, live page and replay draw the state; none of them keeps any of its own. Reducing the
first n messages gives exactly what a person saw after n messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lab.live.provisional import ClaimState, claims_at_start, follow
from lab.messages import (
    FaultChanged,
    Finished,
    Hello,
    Message,
    Noted,
    PhaseStarted,
    Progress,
    Second,
)
from lab.record import FaultRecord, Record

Window = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log. `at_s` is None before the load is on."""

    at_s: float | None
    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class DesignState:
    """One design so far: its finished seconds, oldest first, and where its claims stand."""

    name: str
    seconds: tuple[Window, ...] = ()
    claims: tuple[ClaimState, ...] = ()

    @property
    def last(self) -> Window:
        """Its latest second, empty before the first."""
        return self.seconds[-1] if self.seconds else {}


@dataclass(frozen=True, slots=True)
class FaultState:
    """A fault and the last stage it reached."""

    record: FaultRecord
    stage: str

    @property
    def active(self) -> bool:
        """Whether it is in force, or may be: from injection until it is proved gone."""
        return self.stage in ("injected", "bit", "healed", "problem")


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything a view needs. `clock_s` is the end of the last finished second of any design."""

    hello: Hello | None = None
    waiting_for: str = ""
    phase: str = ""
    phase_at_s: float = 0.0
    clock_s: float = 0.0
    designs: Mapping[str, DesignState] = field(default_factory=dict)
    faults: Mapping[str, FaultState] = field(default_factory=dict)
    log: tuple[Line, ...] = ()
    record: Record | None = None

    @property
    def running(self) -> bool:
        """Whether the load is on."""
        return bool(self.phase) and self.record is None


def reduce(messages: Iterable[Message], state: RunState | None = None) -> RunState:
    """The state after these messages."""
    state = state or RunState()
    for message in messages:
        state = step(state, message)
    return state


def step(state: RunState, message: Message) -> RunState:
    """The state after one more message."""
    match message:
        case Hello():
            new = _hello(state, message)
        case Progress(text):
            new = replace(_logged(state, Line(None, text)), waiting_for=text)
        case PhaseStarted(name, at_s):
            logged = _logged(state, Line(at_s, f"phase {name}"))
            new = replace(logged, phase=name, phase_at_s=at_s, clock_s=max(state.clock_s, at_s))
        case Second(design, window):
            new = _second(state, design, window)
        case FaultChanged(record, stage):
            new = _fault(state, record, stage)
        case Noted(at_s, text, level):
            new = _logged(state, Line(at_s, text, level))
        case Finished(record):
            new = replace(state, record=record, waiting_for="")
    return new


def _hello(state: RunState, hello: Hello) -> RunState:
    designs = {
        name: DesignState(name, claims=claims_at_start(hello.experiment, name))
        for name in hello.experiment.designs
    }
    return replace(state, hello=hello, designs=designs)


def _fault(state: RunState, record: FaultRecord, stage: str) -> RunState:
    faults = {**state.faults, record.key: FaultState(record, stage)}
    level = "problem" if stage == "problem" else "fault"
    line = Line(_moment(record, stage, state.clock_s), _told(record, stage), level)
    return replace(_logged(state, line), faults=faults)


def _second(state: RunState, name: str, window: Window) -> RunState:
    before = state.designs.get(name, DesignState(name))
    seconds = (*before.seconds, window)
    claims = tuple(follow(claim, seconds) for claim in before.claims)
    lines = [
        Line(now.since_s, f"{name}: {now.claim} broken, {now.expected}", "claim")
        for now, then in zip(claims, before.claims, strict=True)
        if now.status == "broken" and then.status != "broken"
    ]
    designs = {**state.designs, name: DesignState(name, seconds, claims)}
    clock_s = max(state.clock_s, float(window["t"]) + 1.0)
    return _logged(replace(state, designs=designs, clock_s=clock_s), *lines)


def _logged(state: RunState, *lines: Line) -> RunState:
    return replace(state, log=(*state.log, *lines)) if lines else state


def _moment(record: FaultRecord, stage: str, clock_s: float) -> float:
    """When a stage was reached; the clock where the record does not say."""
    found = {
        "injected": record.injected_s,
        "bit": record.confirmed_s,
        "healed": record.healed_s,
        "gone": record.gone_s,
    }.get(stage)
    return clock_s if found is None else found


def _told(record: FaultRecord, stage: str) -> str:
    """A stage of a fault as one line of the log."""
    measured = {
        "before": record.before,
        "waiting": record.started_by,
        "never": record.never,
        "injected": record.started_by,
        "bit": record.during,
        "healed": record.ended_by,
        "gone": record.after,
    }.get(stage, "")
    words = {
        "before": "measured before",
        "waiting": "ready",
        "never": "never injected",
        "injected": "injected",
        "bit": "bit",
        "healed": "heal ordered",
        "gone": "gone",
        "problem": "PROBLEM",
    }.get(stage, stage)
    return f"{record.text}: {words}" + (f": {measured}" if measured else "")
