"""Measures: from a window of the history to one number, or to the reason why there is none.

An operation belongs to the window in which it was *due*, and its latency runs from then. Only
`goodput` and `throughput` count where operations *ended*: what clients get out of a system per
second is a flow, and while a queue drains more comes out than was asked for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from lab.checkers.facts import Facts, Operations
from lab.checkers.metrics import increase, totals
from lab.checkers.windows import Span, WindowError, baseline_span, end_of, span_of
from lab.claims import COSTS, LATENCY, METRICS, WHOLE_RUN, Measure, Window
from lab.history import Op
from lab.units import format_count, format_duration, format_rate, format_share, format_size

PER_MILLE = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99.9": 999}
"""Quantiles as whole numbers, so that ranks are exact."""

RECOVERED_OK_PERCENT = 95
"""Share of operations of a second that must be ok for it to count as recovered."""

RECOVERED_FOR_S = 3
"""Seconds in a row that must be good: one good second between two bad ones is luck."""

RECOVERED_SLACK_S = 0.02
"""A recovered second's median may be twice the baseline's, or this much above it: medians of a few
milliseconds double on a busy laptop without anything being wrong."""

_RECOVERY_STEP_S = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """A number in the measure's unit, from that many samples; or None and the reason."""

    value: float | None
    samples: int = 0
    reason: str = ""


def measure(what: Measure, window: Window, design: str, facts: Facts) -> Measured:
    """The value of a measure for one design in a claim's window."""
    try:
        if what.name in COSTS:
            return _cost(what, window, design, facts)
        if what.name in WHOLE_RUN:
            return _found(what, window, design, facts)
        if what.name == "recovery":
            return _recovery(what, window, design, facts)
        span = span_of(window, facts.went(design))
    except WindowError as error:
        return Measured(None, 0, str(error))
    if what.name in METRICS:
        return _metric(what, span, design, facts)
    return _clients(what, span, facts.operations(design, what.request))


def quantile(ordered: Sequence[float], per_mille: int) -> float:
    """The nearest-rank quantile of sorted values: the smallest that is >= that share of them."""
    return ordered[-(-len(ordered) * per_mille // 1000) - 1]


def samples_needed(name: str) -> int:
    """How many operations a latency measure needs: so many that one lies beyond the quantile."""
    return math.ceil(1000 / (1000 - PER_MILLE[name])) if name in PER_MILLE else 1


def written(value: float | None, what: Measure) -> str:
    """A value with its unit; `?` when there is none. A recovery may be `at once` or `never`."""
    if value is None:
        return "?"
    if what.name == "recovery" and (value == 0 or math.isinf(value)):
        return "never" if value else "at once"
    formats = {
        "s": format_duration,
        "share": format_share,
        "/s": format_rate,
        "B": format_size,
        "count": format_count,
    }
    return formats[what.unit](value)


def latency(name: str, ordered: Sequence[float]) -> float:
    """A latency measure of sorted latencies, at least one, however few they are."""
    if name == "max":
        return ordered[-1]
    if name == "mean":
        return math.fsum(ordered) / len(ordered)
    return quantile(ordered, PER_MILLE[name])


def share(what: Measure, ops: Sequence[Op]) -> float:
    """`ok`, `errors` or `within(…)` of operations, at least one."""
    limit_s = what.duration_s if what.name == "within" else math.inf
    good = sum(op.outcome == "ok" and op.done_s - op.due_s <= limit_s for op in ops)
    return (len(ops) - good) / len(ops) if what.name == "errors" else good / len(ops)


def _clients(what: Measure, span: Span, operations: Operations) -> Measured:
    """Measures of the clients' history, all but recovery."""
    if what.name in LATENCY:
        ordered = operations.latencies_in(span)
        if len(ordered) < (needed := samples_needed(what.name)):
            return Measured(None, len(ordered), f"{len(ordered)} operations, needs {needed}")
        return Measured(latency(what.name, ordered), len(ordered))
    if what.name in ("goodput", "throughput", "in_flight"):
        return _flow(what.name, span, operations)
    ops = operations.due_in(span)
    if not ops:
        return Measured(None, 0, "no operation was due")
    match what.name:
        case "offered":
            value = len(ops) / span.seconds
        case "attempts":
            value = sum(op.attempts for op in ops) / len(ops)
        case "bad_seconds":
            value = float(_bad_seconds(ops, span, what.duration_s))
        case _:
            value = share(what, ops)
    return Measured(value, len(ops))


def _flow(name: str, span: Span, operations: Operations) -> Measured:
    """What came out per second, or was open at once; 0 only where there were operations at all."""
    ended = _inside(operations.dones_s, span)
    most_open = operations.most_open_in(span)
    if not ended and not most_open and not operations.due_in(span):
        return Measured(None, 0, "no operation was due, open or ended")
    if name == "in_flight":
        return Measured(float(most_open), len(operations.due_in(span)))
    counted = ended if name == "throughput" else _inside(operations.oks_s, span)
    return Measured(counted / span.seconds, ended)


def _inside(ordered: Sequence[float], span: Span) -> int:
    return bisect_left(ordered, span.end_s) - bisect_left(ordered, span.start_s)


def _bad_seconds(ops: Sequence[Op], span: Span, limit_s: float) -> int:
    slots = list(span.slots())
    bad = {
        int(op.due_s - span.start_s)
        for op in ops
        if op.outcome != "ok" or op.done_s - op.due_s > limit_s
    }
    return sum(number < len(slots) for number in bad)


def _metric(what: Measure, span: Span, design: str, facts: Facts) -> Measured:
    series = facts.series(what.metric or "", design, what.selector)
    if what.name == "increase":
        value, samples = increase(series, span)
    else:
        found = [total for _, total in totals(series, span)]
        samples = len(found)
        reduced = {
            "peak": max(found, default=0.0),
            "least": min(found, default=0.0),
            "average": math.fsum(found) / samples if samples else 0.0,
            "last": found[-1] if found else 0.0,
        }
        value = reduced[what.name]
    if not samples:
        return Measured(None, 0, f"no value of `{what.argument}` was scraped")
    return Measured(value, samples)


def _found(what: Measure, window: Window, design: str, facts: Facts) -> Measured:
    """What a checker of truth found; unmeasured where it had nothing to judge."""
    if window != Window():
        raise WindowError(f"`{what.name}` is known for the whole run only")
    finding = facts.finding(what.name, design)
    return Measured(finding.value, finding.judged, finding.reason)


def _cost(what: Measure, window: Window, design: str, facts: Facts) -> Measured:
    if window != Window():
        raise WindowError(f"`{what.name}` is known for the whole run only")
    cost = facts.costs.get(design)
    if not cost:
        return Measured(None, 0, f"nothing was measured about what `{design}` costs")
    match what.name:
        case "cpu":
            value = cost.cpu_per_1000
        case "memory":
            value = cost.memory_peak_bytes
        case _:
            value = float(cost.containers)
    if value <= 0:  # nothing runs without any: the engine could not read it
        return Measured(None, 0, f"no reading of `{what.name}`")
    return Measured(value, cost.operations)


def _recovery(what: Measure, window: Window, design: str, facts: Facts) -> Measured:
    """Seconds from the end of a phase to the first moment from which it is good again.

    Good are the next three seconds (fewer at the end of the load), each with operations due, 95 %
    of them ok, and a median not above twice the baseline's. A second without any operation due
    proves nothing and does not count as good. Infinite when that moment never came.
    """
    operations = facts.operations(design, what.request)
    went = facts.went(design)
    end_s, load_s = end_of(window.phase or "fault", went), went.duration_s
    if end_s + 1 > load_s:
        return Measured(None, 0, "less than one second of load follows")
    before = operations.latencies_in(baseline_span(went))
    if len(before) < samples_needed("p50"):
        return Measured(None, 0, f"{len(before)} operations in the baseline to compare with")
    usual_s = quantile(before, 500)
    limit_s = max(2 * usual_s, usual_s + RECOVERED_SLACK_S)
    samples = len(operations.due_in(Span(end_s, load_s)))
    if not samples:
        return Measured(None, 0, "no operation was due afterwards")
    for step in range(int((load_s - end_s - 1) / _RECOVERY_STEP_S + 1e-6) + 1):
        wait_s = round(step * _RECOVERY_STEP_S, 6)
        start_s = end_s + wait_s
        ahead = Span(start_s, min(start_s + RECOVERED_FOR_S, load_s))
        if all(_is_good(operations, slot, limit_s) for slot in ahead.slots()):
            return Measured(wait_s, samples)
    return Measured(math.inf, samples)


def _is_good(operations: Operations, slot: Span, limit_s: float) -> bool:
    ops = operations.due_in(slot)
    good = sum(op.outcome == "ok" for op in ops)
    if not ops or 100 * good < RECOVERED_OK_PERCENT * len(ops):
        return False
    return quantile(sorted(op.done_s - op.due_s for op in ops), 500) <= limit_s
