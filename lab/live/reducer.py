"""One pure reducer over a run's messages: state = reduce(messages).

Terminal, live page and replay draw the state; none of them keeps any of its own. Reducing the
first n messages gives exactly what a person saw after n messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lab.history import Op
from lab.live.provisional import ClaimState, claims_at_start, follow
from lab.messages import (
    Carried,
    Explained,
    FaultChanged,
    Finished,
    Guess,
    Guessed,
    Hello,
    Message,
    Noted,
    Observed,
    PhaseStarted,
    Progress,
    Sampled,
    Second,
)
from lab.record import FaultRecord, Record

Window = Mapping[str, Any]
Values = tuple[float | None, ...]

FAILED_KEPT = 8
"""So many of the latest failed operations are kept, over all designs."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log. `at_s` is None before the load is on."""

    at_s: float | None
    text: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class DesignState:
    """One design so far: its finished seconds, oldest first, and where its claims stand.

    `errors` are those of the last second, counted by reason; `watched` holds (run time, values of
    the experiment's `watch`) as scraped; `why` its sentence with the numbers so far.
    """

    name: str
    seconds: tuple[Window, ...] = ()
    claims: tuple[ClaimState, ...] = ()
    errors: Mapping[str, int] = field(default_factory=dict)
    watched: tuple[tuple[float, Values], ...] = ()
    why: str = ""
    guess: Guess | None = None

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
    """Everything a view needs. `clock_s` is the end of the last finished second of any design.

    `carried` holds the last two readings of the links, `failed` the latest failed operations.
    """

    hello: Hello | None = None
    waiting_for: str = ""
    phase: str = ""
    phase_at_s: float = 0.0
    clock_s: float = 0.0
    designs: Mapping[str, DesignState] = field(default_factory=dict)
    faults: Mapping[str, FaultState] = field(default_factory=dict)
    log: tuple[Line, ...] = ()
    failed: tuple[Op, ...] = ()
    carried: tuple[Carried, ...] = ()
    observed: Observed | None = None
    record: Record | None = None

    @property
    def may_guess(self) -> bool:
        """Whether it is still early enough to predict: nothing was broken, nothing is finished.

        Where no fault is planned, the first phase is the time to predict in.
        """
        if self.hello is None or self.record is not None:
            return False
        if any(fault.record.injected_s is not None for fault in self.faults.values()):
            return False
        what = self.hello.experiment
        first_s = min((fault.at_s for fault in what.faults), default=what.phases[0].end_s)
        return self.clock_s < first_s

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
        case Second():
            new = _second(state, message)
        case FaultChanged(record, stage):
            new = _fault(state, record, stage)
        case Noted(at_s, text, level):
            new = _logged(state, Line(at_s, text, level))
        case Finished(record):
            new = replace(state, record=record, waiting_for="")
        case _:
            new = _seen(state, message)
    return new


def _seen(state: RunState, message: Carried | Sampled | Explained | Observed | Guessed) -> RunState:
    """The state after a message that only says what there is to see."""
    match message:
        case Carried():
            new = replace(state, carried=(*state.carried[-1:], message))
        case Sampled():
            new = _sampled(state, message)
        case Explained(_, whys):
            new = _each_design(state, {name: {"why": text} for name, text in whys.items()})
        case Observed():
            new = replace(state, observed=message)
        case Guessed(_, design, guess):
            new = _each_design(state, {design: {"guess": guess}} if state.may_guess else {})
    return new


def _hello(state: RunState, hello: Hello) -> RunState:
    designs = {
        name: DesignState(name, claims=claims_at_start(hello.experiment, name))
        for name in hello.experiment.designs
    }
    return replace(state, hello=hello, designs=designs)


def _fault(state: RunState, record: FaultRecord, stage: str) -> RunState:
    faults = {**state.faults, record.key: FaultState(record, stage)}
    no_effect = stage == "bit" and not record.bit
    level = "problem" if stage == "problem" or no_effect else "fault"
    line = Line(_moment(record, stage, state.clock_s), _told(record, stage), level)
    return replace(_logged(state, line), faults=faults)


def _second(state: RunState, message: Second) -> RunState:
    name, window = message.design, message.window
    before = state.designs.get(name, DesignState(name))
    seconds = (*before.seconds, window)
    claims = tuple(follow(claim, seconds) for claim in before.claims)
    lines = [
        Line(now.since_s, f"{name}: {now.claim} broken, {now.expected}", "claim")
        for now, then in zip(claims, before.claims, strict=True)
        if now.status == "broken" and then.status != "broken"
    ]
    design = replace(before, seconds=seconds, claims=claims, errors=message.errors)
    failed = (*state.failed, *message.failed)[-FAILED_KEPT:] if message.failed else state.failed
    clock_s = max(state.clock_s, float(window["t"]) + 1.0)
    designs = {**state.designs, name: design}
    return _logged(replace(state, designs=designs, clock_s=clock_s, failed=failed), *lines)


def _sampled(state: RunState, message: Sampled) -> RunState:
    changes = {
        name: {"watched": (*state.designs[name].watched, (message.at_s, values))}
        for name, values in message.values.items()
        if name in state.designs
    }
    return _each_design(state, changes)


def _each_design(state: RunState, changes: Mapping[str, Mapping[str, Any]]) -> RunState:
    """The state with these fields of these designs changed; unknown designs are left out."""
    changed = {
        name: replace(state.designs[name], **fields)
        for name, fields in changes.items()
        if name in state.designs
    }
    return replace(state, designs={**state.designs, **changed}) if changed else state


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
        "bit": "bit" if record.bit else "NO EFFECT SEEN",
        "healed": "heal ordered",
        "gone": "gone",
        "problem": "PROBLEM",
    }.get(stage, stage)
    return f"{record.text}: {words}" + (f": {measured}" if measured else "")
