"""What a page gets: one frame that brings it from what it shows to what there is.

    {"n": 87, "slots": {changed ones}, "bands": [...], "clock": 26.0, "phase": "fault",
     "finished": false, "run": {everything the charts draw} or
     "add": {design: {"from": 25, "p50": [...], ..., "watch": {"from": 24, "columns": [[...]]}}}}

A frame is made from two counts of messages, so a page that reconnects gets exactly what it missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from lab.live.reducer import DesignState, FaultState, RunState
from lab.page import charts
from lab.record import FaultRecord
from lab.web.recording import Recording
from lab.web.slots import slots

_COLUMNS = ("p50", "p95", "p99", "ok", "fail", "info", "in_flight")


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows after `count` messages."""

    count: int
    state: RunState
    slots: Mapping[str, str]


def view(recording: Recording, count: int | None = None) -> View:
    """The page after the first `count` messages, or after all."""
    count = len(recording) if count is None else count
    state = recording.state(count)
    numbers = recording.numbers(state.record) if state.record else None
    return View(count, state, slots(state, numbers, recording.missing))


def frame(recording: Recording, old: View | None, new: View) -> dict[str, Any]:
    """What brings a page from one view (None: an empty page) to another, later one."""
    shown = old.slots if old else {}
    body: dict[str, Any] = {
        "n": new.count,
        "slots": {name: html for name, html in new.slots.items() if shown.get(name) != html},
        **_moment(new.state),
    }
    if new.state.record is not None:
        if old is None or old.state.record is None:
            body["run"] = charts.data(recording.numbers(new.state.record))
    elif old is None or old.state.hello is None:
        body["run"] = run(new.state)
    else:
        body["add"] = {name: _added(old.state, new.state, name) for name in new.state.designs}
    return body


def at(recording: Recording, at_s: float, *, whole: bool) -> dict[str, Any]:
    """The page as it was at a moment of the run; with `whole`, the charts' data as well."""
    then = view(recording, recording.count_at(at_s))
    body = {"n": then.count, "slots": then.slots, **_moment(then.state)}
    if whole:
        body["run"] = run(replace(then.state, record=None))
    return body


def _moment(state: RunState) -> dict[str, Any]:
    return {
        "bands": _bands(state),
        "clock": state.clock_s,
        "phase": state.phase,
        "running": state.running,
        "finished": state.record is not None,
    }


def run(state: RunState) -> dict[str, Any]:
    """Everything that the charts draw, as far as it is known: what `charts.data` is afterwards."""
    if state.hello is None:
        return {}
    what = state.hello.experiment
    return {
        "finished": False,
        "duration": what.duration_s,
        "phases": [{"name": p.name, "from": p.start_s, "to": p.end_s} for p in what.phases],
        "planned": [
            {"name": f.name, "from": f.at_s, "to": min(f.until_s, what.duration_s)}
            for f in what.faults
        ],
        "faults": _bands(state),
        "designs": {
            name: {**_columns(design, 0), "bounds": bounds(state, design),
                   "rate": charts.planned_rate(what.designs[name].load),
                   "watch": _watched(state, design, 0)}
            for name, design in state.designs.items()
        },
    }  # fmt: skip


def bounds(state: RunState, design: DesignState) -> list[dict[str, Any]]:
    """The lines of claims whose limit is known beforehand."""
    assert state.hello is not None  # noqa: S101 - run() asks only then
    claims = [
        (claim.claim, claim.claim.bound.value)
        for claim in design.claims
        if claim.side in ("holds", "breaks")
        and not claim.claim.bound.reference
        and claim.claim.bound.value
    ]
    due = [float(window["due"]) for window in design.seconds]
    rate_per_s = (
        sum(due) / len(due) if due else state.hello.experiment.designs[design.name].load.rate
    )
    return charts.bounds(state.hello.experiment, claims, rate_per_s or 0.0)


def _bands(state: RunState) -> list[dict[str, Any]]:
    """Faults in force until now, and those that were."""
    record = state.record
    if record is not None:
        return charts.bands(record.experiment.duration_s, record.faults)
    return charts.bands(
        state.clock_s, (_until_now(f, state.clock_s) for f in state.faults.values())
    )


def _until_now(fault: FaultState, clock_s: float) -> FaultRecord:
    """A fault in force ends, for now, at the clock; a band is never negative."""
    record = fault.record
    from_s = record.confirmed_s if record.confirmed_s is not None else record.injected_s
    if record.healed_s is not None or from_s is None:
        return record
    return replace(record, healed_s=max(clock_s, from_s))


def _added(old: RunState, new: RunState, name: str) -> dict[str, Any]:
    """What one design's columns got since: from a second on, so that twice is as good as once."""
    before = old.designs.get(name, DesignState(name))
    after = new.designs[name]
    start = len(before.seconds)
    return {
        "from": start,
        **_columns(after, start),
        "bounds": bounds(new, after),
        "watch": _watched_since(before, new, name),
    }


def _columns(design: DesignState, start: int) -> dict[str, Any]:
    windows = design.seconds[start:]
    return {key: [charts.number(window.get(key)) for window in windows] for key in _COLUMNS}


def _watched_since(before: DesignState, new: RunState, name: str) -> dict[str, Any]:
    """Watched columns from the last second on that may have changed."""
    start = int(before.watched[-1][0]) if before.watched else 0
    return {"from": start, "columns": _watched(new, new.designs[name], start)}


def _watched(state: RunState, design: DesignState, start: int) -> list[list[float | None]]:
    """Each watched metric from a second on: its value, or how much a counter went up."""
    assert state.hello is not None  # noqa: S101 - run() asks only then
    names = state.hello.experiment.watch
    by_second = {int(at_s): values for at_s, values in design.watched if at_s >= start - 1}
    end = max(by_second, default=start - 1) + 1
    rows = [by_second.get(second) for second in range(start - 1, end)]
    return [
        _column(rows, index, counter=charts.is_counter(name)) for index, name in enumerate(names)
    ]


def _column(
    rows: Sequence[Sequence[float | None] | None], index: int, *, counter: bool
) -> list[float | None]:
    """One metric's values after the first row, which only says where a counter stood."""
    values = [row[index] if row is not None else None for row in rows]
    if not counter:
        return [charts.number(value) for value in values[1:]]
    steps: list[float | None] = []
    for before, now in pairwise(values):
        rose = before is not None and now is not None and now >= before
        steps.append(charts.number((now or 0.0) - (before or 0.0)) if rose else None)
    return steps
