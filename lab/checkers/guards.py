"""Guards: what a run must show before its claims count at all.

A system that was sick before the fault, a driver that could not keep its schedule, a fault that
did not bite: such a run has proved nothing, whatever its claims say. Every guard is met or not and
says so with its numbers; an unmet one makes the verdict unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from lab.checkers.facts import Facts
from lab.checkers.windows import Span, WindowError, baseline_span, first_fault_s
from lab.experiment import Load
from lab.record import FaultRecord, Lag, Record
from lab.units import format_count, format_duration, format_rate, format_share
from lab.verdict import Guard

BASELINE_OK_SHARE = 0.99
"""A system of which more than 1 % fails with nothing broken is not the one to be tested."""

BASELINE_OPERATIONS = 20
"""Fewer operations than this do not tell a healthy baseline from a sick one."""

RUN_OPERATIONS = 100
"""Fewer operations than this in a whole run support no claim about shares or quantiles."""

NEVER_SENT = "saturated"
"""The error of an operation that the driver itself refused, with too many in flight."""

SENT_SHARE = 0.95
LAG_P99_S = 0.05
SIGMAS = 5.0
"""Poisson arrivals miss their mean by five standard deviations once in two million runs."""

_LINK_END = re.compile(r"(?:(?P<design>.*)/)?(?P<client>\S+) -> (?P<server>\S+)-\d+:(?P<port>\d+)")


def guards(facts: Facts, record: Record) -> list[Guard]:
    """All guards of a run but the author's own `requires`; `record` is not judged yet."""
    found: list[Guard] = []
    for design in facts.experiment.designs:
        found.append(_healthy(facts, design))
        found.append(_offered(facts, design))
        found.append(_on_time(record.lags.get(design), design))
        found.append(_enough(facts, design))
    found += _faults(facts, record.faults)
    found.append(_nothing_else_died(facts))
    found += _links(record)
    found += _bypasses(facts)
    found += _went_through(record)
    return found


def planned_operations(load: Load, until_s: float) -> float:
    """How many operations an open loop plans up to a moment: the area under its rate.

    Stages that end before it go on at their last rate, as the driver does.
    """
    planned, left_s, rate_per_s = 0.0, until_s, load.rate or 0.0
    for stage in load.stages:
        lasts_s = min(stage.seconds, left_s)
        to_per_s = stage.rate if stage.to is None else stage.to
        rate_per_s = stage.rate + (to_per_s - stage.rate) * lasts_s / stage.seconds
        planned += (stage.rate + rate_per_s) / 2 * lasts_s
        left_s -= lasts_s
    return planned + rate_per_s * left_s


def _healthy(facts: Facts, design: str) -> Guard:
    name = "healthy baseline"
    try:
        span = baseline_span(facts.went(design))
    except WindowError as error:
        return Guard(name, met=False, detail=str(error), design=design)
    ops = facts.operations(design).due_in(span)
    if len(ops) < BASELINE_OPERATIONS:
        detail = f"{len(ops)} operations before the first fault, needs {BASELINE_OPERATIONS}"
        return Guard(name, met=False, detail=detail, design=design)
    share = sum(op.outcome == "ok" for op in ops) / len(ops)
    detail = f"{format_share(share)} of {format_count(len(ops))} operations ok, needs 99 %"
    return Guard(name, share >= BASELINE_OK_SHARE, detail, design)


def _offered(facts: Facts, design: str) -> Guard:
    """Before the first fault: as many operations due as planned, and sent when they were due."""
    until_s = first_fault_s(facts.went(design))
    load = facts.experiment.designs[design].load
    ops = facts.operations(design).due_in(Span(0.0, until_s))
    due = len(ops)
    sent = sum(op.error != NEVER_SENT and op.sent_s < until_s for op in ops)
    detail = f"{format_count(sent)} sent of {format_count(due)} due before {until_s:g} s"
    met = due > 0 and sent >= SENT_SHARE * due
    if load.loop == "open":
        planned = planned_operations(load, until_s)
        detail += f", {format_count(planned)} planned ({format_rate(planned / until_s)})"
        met = met and abs(due - planned) <= SIGMAS * math.sqrt(planned) + 1
    return Guard("load offered as planned", met, detail, design)


def _on_time(lag: Lag | None, design: str) -> Guard:
    name = "driver on time"
    if lag is None:
        return Guard(name, met=False, detail="the driver never reported its lag", design=design)
    detail = f"p99 {format_duration(lag.p99_s)} late, allowed {format_duration(LAG_P99_S)}"
    if lag.saturated:
        detail += f"; {format_count(lag.saturated)} not sent, too many in flight"
    return Guard(name, lag.p99_s <= LAG_P99_S and lag.saturated == 0, detail, design)


def _enough(facts: Facts, design: str) -> Guard:
    count = len(facts.operations(design).all)
    detail = f"{format_count(count)} operations, needs {RUN_OPERATIONS}"
    return Guard("enough operations", count >= RUN_OPERATIONS, detail, design)


def _faults(facts: Facts, records: Sequence[FaultRecord]) -> Iterator[Guard]:
    """Each planned fault was seen to bite, and seen to be gone."""
    by_key = {record.key: record for record in records}
    there = {record.name for record in records}
    for scheduled in facts.experiment.faults:
        if scheduled.name not in there:
            yield Guard(f"{scheduled.name} bit", met=False, detail="it was never injected")
    for record in by_key.values():
        name, design = record.name, record.design
        if record.injected_s is None:
            detail = record.never or "it was never injected"
            yield Guard(f"{name} bit", met=False, detail=detail, design=design)
            continue
        text = record.text.removeprefix(f"{design}: ")
        went = f"{record.before or '?'} before, {record.during or '?'} during"
        yield Guard(f"{name} bit", record.bit, f"{text}: {went}", design)
        after = f"{record.after or '?'} afterwards"
        yield Guard(f"{name} healed", record.healed, f"{text}: {after}", design)


def _nothing_else_died(facts: Facts) -> Guard:
    dead = [e for e in facts.history.kind("service") if e.data.get("unexpected")]
    detail = "; ".join(f"{e.text} at {e.at_s:.1f} s" for e in dead[:3])
    if len(dead) > 3:
        detail += f"; and {len(dead) - 3} more"
    return Guard("nothing died by itself", not dead, detail or "every instance lived as planned")


def _links(record: Record) -> Iterator[Guard]:
    """Each link that a fault names carried packets in the baseline, in every design.

    Without them the traffic takes another way, and the fault breaks nothing that is in use.
    """
    ends = {t for fault in record.faults for t in fault.targets if " -> " in t}
    packets: dict[tuple[str, str], int] = {}
    for end in sorted(ends):
        match = _LINK_END.fullmatch(end)
        client = re.sub(r"-\d+$", "", match["client"]) if match else end
        link = f"{client} -> {match['server']}:{match['port']}" if match else end
        key = ((match["design"] or "") if match else "", link)
        packets[key] = packets.get(key, 0) + record.links.get(end, 0)
    for (design, link), count in packets.items():
        detail = f"{format_count(count)} packets in the baseline"
        yield Guard(f"traffic on {link}", count > 0, detail, design)


def _bypasses(facts: Facts) -> Iterator[Guard]:
    """Where services could go round the proxies, somebody looked, and none did.

    A connection past its link is one that no fault on that link reaches.
    """
    for event in facts.history.kind("bypass"):
        detail = f"{event.text}, in {event.data['looks']} looks"
        met = not event.data["found"] and event.data["looks"] > 0
        yield Guard("every link through its proxy", met, detail)


def _went_through(record: Record) -> Iterator[Guard]:
    """A run that broke off, or in which the lab itself failed, has earned nothing."""
    for event in record.history.kind("problem"):
        yield Guard("nothing went wrong", met=False, detail=event.text)
    if record.interrupted:
        yield Guard("ran to its end", met=False, detail=record.interrupted)
