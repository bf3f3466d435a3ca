"""A run's messages as the real lab emits them, from the realistic record: for pages and replays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from lab.checkers import explain, latency_bounds, live_window
from lab.checkers.facts import Facts
from lab.experiment import Experiment
from lab.faults import KINDS
from lab.history import History, Op
from lab.messages import (
    Carried,
    Explained,
    FaultChanged,
    Finished,
    Hello,
    Message,
    Observed,
    PhaseStarted,
    Progress,
    Sampled,
    Second,
)
from lab.plan import deploy
from lab.record import Record
from lab.watching import failures
from tests.unit import records


def record(designs: tuple[str, ...] = records.DESIGNS, run_id: str = "") -> Record:
    """The realistic record with a fault of the lab's own, so that it can be written and read."""
    base = records.record(designs)
    slow = KINDS["latency"].model_validate({"link": "app -> db", "delay": "200ms"})
    (scheduled,) = base.experiment.faults
    what = base.experiment.model_copy(
        update={"faults": (scheduled.model_copy(update={"fault": slow}),)}
    )
    return replace(base, experiment=what, run_id=run_id or "7f3a0001")


def messages(of: Record) -> Iterator[Message]:
    """What that run tells, in order: windows by the second in which operations ended."""
    what, fault = of.experiment, of.faults[0]
    yield Hello(what, deploy(what), "docker", "a Docker engine answers", of.run_id, of.seed)
    yield Progress("6 services starting")
    yield Progress("db-1 healthy, waiting for app-1, app-2")
    yield Progress("9 links answer through their proxies")
    for second in range(int(what.duration_s)):
        yield from (PhaseStarted(p.name, p.start_s) for p in what.phases if p.start_s == second)
        yield from _fault_changes(fault, second)
        yield Carried(second + 0.4, {e.name: 9000 * second for e in deploy(what).ends})
        yield Sampled(second + 0.5, _sampled(of, second))
        for name in what.designs:
            ended = _ended(of, name, second)
            tick = {"in_flight": _open(of, name, second + 1.0)}
            window = live_window(second + 1.0, tick, ended, latency_bounds(what, name))
            yield Second(name, window, *failures(ended))
        if second >= 10 and second % 2 == 0:
            yield Explained(second + 1.0, _whys(what, of.history, second + 1.0))
        if second % 5 == 4:
            yield Observed(second + 1.0, 0.12, 0.21)
    yield Finished(of)


def _fault_changes(fault: records.FaultRecord, second: int) -> Iterator[Message]:
    injected = replace(fault, confirmed_s=None, during="", healed_s=None, gone_s=None, after="",
                       bit=False, healed=False)  # fmt: skip
    before = replace(injected, injected_s=None)
    bit = replace(fault, healed_s=None, gone_s=None, after="", healed=False)
    stages = {
        7: [(before, "before")],
        8: [(injected, "injected"), (bit, "bit")],
        20: [(replace(fault, gone_s=None, after="", healed=False), "healed"), (fault, "gone")],
    }
    for changed, stage in stages.get(second, []):
        yield FaultChanged(changed, stage)


def _ended(of: Record, name: str, second: int) -> list[Op]:
    return [op for op in of.history.of(name) if second <= op.done_s < second + 1]


def _open(of: Record, name: str, at_s: float) -> int:
    return sum(op.due_s <= at_s < op.done_s for op in of.history.of(name))


def _sampled(of: Record, second: int) -> dict[str, tuple[float | None, ...]]:
    """Sums over instances of what was scraped in that second."""
    found = {}
    for name in of.experiment.designs:
        inside = [
            s for s in of.history.samples if s.design == name and second <= s.at_s < second + 1
        ]
        found[name] = tuple(
            math.fsum(s.value for s in inside if s.name == metric) if inside else None
            for metric in of.experiment.watch
        )
    return found


def _whys(what: Experiment, history: History, until_s: float) -> dict[str, str]:
    known = History(
        ops=[op for op in history.ops if op.done_s <= until_s],
        samples=[sample for sample in history.samples if sample.at_s <= until_s],
    )
    return explain(Facts(what, known))
