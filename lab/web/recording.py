"""A run's messages with the state after any of them: what live page and replay are served from.

One thread may append while another reads: a list grows at its end, nothing else is shared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import store
from lab.checkers import metric_per_second, per_second
from lab.errors import UsageError
from lab.live.reducer import RunState, step
from lab.messages import (
    Explained,
    FaultChanged,
    Finished,
    Hello,
    Message,
    Noted,
    PhaseStarted,
    Sampled,
    Second,
)
from lab.page.charts import Numbers
from lab.plan import deploy
from lab.record import FaultRecord, Record

_CHECKPOINT_EVERY = 64
"""Messages between two states that are kept; going back costs reducing at most so many."""

OLD = (
    "This run was recorded before runs kept their messages: the replay is rebuilt from its "
    "measurements. What links carried, the failed requests and notes of the moment are missing."
)


class Recording:
    """The messages of one run so far.

    `missing` says what a rebuilt recording cannot show; `growing` is whether more may come.
    """

    def __init__(
        self, messages: Iterable[Message] = (), *, missing: str = "", growing: bool = False
    ) -> None:
        self.messages = list(messages)
        self.missing = missing
        self.growing = growing
        self._times_s: list[float] = []
        self._checkpoints = [RunState()]
        self._latest = (0, RunState())
        self._numbers: Numbers | None = None

    def append(self, message: Message) -> None:
        """One more message; a recording that is finished stays so."""
        self.messages.append(message)
        if isinstance(message, Finished):
            self.growing = False

    def __len__(self) -> int:
        return len(self.messages)

    def state(self, count: int | None = None) -> RunState:
        """The state after the first `count` messages, or after all."""
        wanted = len(self) if count is None else max(0, min(count, len(self)))
        at, state = self._latest
        number = min(wanted // _CHECKPOINT_EVERY, len(self._checkpoints) - 1)
        if at > wanted or number * _CHECKPOINT_EVERY > at:
            at, state = number * _CHECKPOINT_EVERY, self._checkpoints[number]
        for message in self.messages[at:wanted]:
            state, at = step(state, message), at + 1
            if at == len(self._checkpoints) * _CHECKPOINT_EVERY:
                self._checkpoints.append(state)
        self._latest = (at, state)
        return state

    def count_at(self, at_s: float) -> int:
        """How many messages had come at a moment of the run."""
        while len(self._times_s) < len(self.messages):
            latest_s = self._times_s[-1] if self._times_s else float("-inf")
            message = self.messages[len(self._times_s)]
            self._times_s.append(max(latest_s, _moment(message, latest_s)))
        return bisect_right(self._times_s, at_s)

    def numbers(self, record: Record) -> Numbers:
        """The finished run, counted once."""
        if self._numbers is None or self._numbers.record is not record:
            self._numbers = Numbers.of(record)
        return self._numbers


def _moment(message: Message, otherwise_s: float) -> float:
    """The run time at which a message came."""
    match message:
        case Second():
            return float(message.window["t"]) + 1.0
        case FaultChanged(record, stage):
            return fault_moment(record, stage, otherwise_s)
        case Finished(record):
            # Drained and judged: later than everything that the charts show.
            return record.experiment.duration_s + 1.0
    return float(getattr(message, "at_s", otherwise_s))


def fault_moment(record: FaultRecord, stage: str, otherwise_s: float) -> float:
    """When a fault reached a stage."""
    found = {
        "injected": record.injected_s,
        "bit": record.confirmed_s,
        "healed": record.healed_s,
        "gone": record.gone_s,
    }.get(stage)
    return otherwise_s if found is None else found


def recorded(folder: Path) -> Recording:
    """A finished run, from its folder.

    Raises:
        UsageError: the folder holds no run.
    """
    record = store.load(folder)
    try:
        messages = list(store.load_messages(folder, record))
    except FileNotFoundError:
        return Recording(rebuilt(record), missing=OLD)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{folder / store.MESSAGES} cannot be read: {error}") from None
    return Recording(messages)


def rebuilt(record: Record) -> Iterator[Message]:
    """What a run must have said, told from its record: for runs that did not keep it."""
    what = record.experiment
    yield Hello(what, deploy(what), record.engine, "as recorded", record.run_id, record.seed)
    timed = [*_rebuilt_seconds(record), *_rebuilt_faults(record)]
    timed += [(phase.start_s, 1, PhaseStarted(phase.name, phase.start_s)) for phase in what.phases]
    timed += [
        (event.at_s, 2, Noted(event.at_s, event.text, "problem"))
        for event in record.history.events
        if event.kind in ("service", "problem")
    ]
    for _, _, message in sorted(timed, key=lambda item: item[:2]):
        yield message
    yield Explained(what.duration_s, dict(record.whys))
    yield Finished(record)


def _rebuilt_seconds(record: Record) -> Iterator[tuple[float, int, Message]]:
    """Seconds by due time, as they were counted after the run, and the watched metrics."""
    what = record.experiment
    facts = Numbers.of(record).facts
    watched = {
        name: [metric_per_second(facts, metric, name) for metric in what.watch]
        for name in what.designs
    }
    for name in what.designs:
        for window in per_second(what, record.history, name):
            yield window["t"] + 1.0, 4, Second(name, window)
    for second in range(int(what.duration_s) if what.watch else 0):
        values = {name: tuple(row[second] for row in rows) for name, rows in watched.items()}
        yield second + 0.99, 3, Sampled(second + 0.99, values)


_STAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("injected", {}),
    ("bit", {"confirmed_s": None, "during": "", "bit": False}),
    ("healed", {"healed_s": None, "ended_by": ""}),
    ("gone", {"gone_s": None, "after": "", "healed": False}),
)
"""Stages of a fault, each with what is not known of it before."""


def _rebuilt_faults(record: Record) -> Iterator[tuple[float, int, Message]]:
    """Each stage with the record as it was then: nothing of what came later."""
    for fault in record.faults:
        for number, (stage, _) in enumerate(_STAGES):
            at_s = fault_moment(fault, stage, -1.0)
            if at_s >= 0:
                later = {k: v for _, unknown in _STAGES[number + 1 :] for k, v in unknown.items()}
                yield at_s, 2, FaultChanged(replace(fault, **later), stage)
