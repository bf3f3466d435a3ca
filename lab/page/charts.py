"""What the charts show, as JSON for charts.js, and each chart in words for those who see none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from lab.checkers import Facts, WindowError, metric_per_second, per_second, span_of
from lab.claims import LATENCY, Claim, parse_claim
from lab.experiment import Experiment, Load
from lab.record import FaultRecord, Record
from lab.units import format_count, format_duration, format_share
from lab.words import claims_of, fault_short, moment

Window = Mapping[str, Any]
Values = Sequence[float | None]

_COUNTER_ENDINGS = ("_total", "_seconds_count", "_seconds_sum")
"""Prometheus names counters so; their charts show the increase per second."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A record with its seconds and series counted once; everything that is drawn reads these."""

    record: Record
    facts: Facts
    windows: Mapping[str, Sequence[Window]]

    @classmethod
    def of(cls, record: Record) -> Numbers:
        """Count them."""
        what, history = record.experiment, record.history
        windows = {name: per_second(what, history, name) for name in what.designs}
        return cls(record, Facts(what, history, record.costs, record.faults), windows)


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: `kind` is `latency`, `outcomes`, `in_flight` or `watch`.

    `keys` are the drawn lines as (CSS class, label); `words` says what is to be seen.
    """

    kind: str
    title: str
    unit: str
    keys: tuple[tuple[str, str], ...]
    words: str = ""
    watch: int = 0


def data(numbers: Numbers) -> dict[str, Any]:
    """Everything the page draws; times in run seconds, latencies in seconds."""
    record, what = numbers.record, numbers.record.experiment
    return {
        "finished": True,
        "duration": what.duration_s,
        "phases": [{"name": p.name, "from": p.start_s, "to": p.end_s} for p in what.phases],
        "faults": bands(what.duration_s, record.faults),
        "designs": {name: _design(numbers, name) for name in what.designs},
    }


def bands(duration_s: float, faults: Iterable[FaultRecord]) -> list[dict[str, Any]]:
    """When each fault that was injected was in force; one still in force goes on to the end."""
    return [found for fault in faults if (found := _band(duration_s, fault))]


def _band(duration_s: float, fault: FaultRecord) -> dict[str, Any] | None:
    """From when the fault was in force until it was ordered off; to the end where it never was."""
    from_s = fault.injected_s if fault.confirmed_s is None else fault.confirmed_s
    if from_s is None:
        return None
    to_s = next((at for at in (fault.healed_s, fault.gone_s) if at is not None), duration_s)
    kind = fault.kind.replace("_", " ")
    return {
        "name": fault.name, "design": fault.design, "text": fault_short(fault), "kind": kind,
        "from": number(from_s), "to": number(to_s),
    }  # fmt: skip


def _design(numbers: Numbers, name: str) -> dict[str, Any]:
    windows = numbers.windows[name]
    columns = ("p50", "p95", "p99", "ok", "fail", "info", "in_flight")
    return {
        **{key: [number(window[key]) for window in windows] for key in columns},
        "rate": planned_rate(numbers.record.experiment.designs[name].load),
        "bounds": bounds(numbers.facts.went(name), _judged(numbers.record, name), _rate(windows)),
        "watch": [
            [number(value) for value in watched(numbers.facts, metric, name)]
            for metric in numbers.record.experiment.watch
        ],
    }


def planned_rate(load: Load) -> float | None:
    """The most operations per second that are planned; None where users decide (closed loop)."""
    if load.loop == "closed":
        return None
    rates = [load.rate, *(rate for stage in load.stages for rate in (stage.rate, stage.to))]
    return max((rate for rate in rates if rate is not None), default=None)


def _rate(windows: Sequence[Window]) -> float:
    """Operations due per second, on average over what there is."""
    return sum(window["due"] for window in windows) / len(windows) if windows else 0.0


def number(value: float | None) -> float | None:
    """Five significant digits: more than a screen shows, and half of the page's size."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.5g}")


def _judged(record: Record, name: str) -> list[tuple[Claim, float]]:
    """A design's judged claims with their limits; a limit taken from elsewhere is known by now."""
    return [
        (parse_claim(result.claim), result.limit)
        for result in claims_of(record, name)
        if result.limit and result.side in ("holds", "breaks")
    ]


def bounds(
    experiment: Experiment, claims: Iterable[tuple[Claim, float]], rate_per_s: float
) -> list[dict[str, Any]]:
    """The lines that a measure must stay under or over, on its chart, where its claim looks.

    Args:
        experiment: whose phases and watched metrics they are.
        claims: each with its limit in the measure's unit.
        rate_per_s: operations per second, to turn a share of them into a number of them.
    """
    found = []
    for claim, limit in claims:
        place = _place(claim, limit, experiment.watch, rate_per_s)
        if place is None:
            continue
        try:
            span = span_of(claim.window, experiment)
        except WindowError:
            continue
        chart, value, written_limit = place
        text = f"{claim.measure} {claim.operator} {written_limit}"
        found.append({"chart": chart, "text": text, "value": number(value),
                      "from": span.start_s, "to": span.end_s})  # fmt: skip
    return found


def _place(
    claim: Claim, limit: float, watch: Sequence[str], rate_per_s: float
) -> tuple[str, float, str] | None:
    """On which chart a claim's limit is a line, at which value, and how it is written."""
    measure = claim.measure
    if measure.name in LATENCY:
        return "latency", limit, format_duration(limit)
    if measure.name == "in_flight":
        return "in_flight", limit, format_count(limit)
    if measure.name == "ok" and not measure.request and rate_per_s:
        return "outcomes", limit * rate_per_s, format_share(limit)
    if measure.name in ("peak", "least", "average", "last") and measure.argument in watch:
        return f"watch{watch.index(measure.argument)}", limit, format_count(limit)
    return None


def is_counter(metric: str) -> bool:
    """Whether a metric only goes up, by the naming rule of Prometheus."""
    return metric.partition("{")[0].endswith(_COUNTER_ENDINGS)


def watched(facts: Facts, metric: str, design: str) -> list[float | None]:
    """A watched metric per second: its value, or for a counter how much it went up."""
    values = metric_per_second(facts, metric, design)
    if not is_counter(metric):
        return values
    steps: list[float | None] = [None]
    for before, now in pairwise(values):
        rose = before is not None and now is not None and now >= before
        steps.append((now or 0.0) - (before or 0.0) if rose else None)
    return steps


def plain(experiment: Experiment) -> list[Chart]:
    """The charts of every design, top to bottom, without words."""
    return [
        Chart("latency", "latency", "log scale", (("p50", "p50"), ("p95", "p95"), ("p99", "p99"))),
        Chart(
            "outcomes", "requests per second", "by how they came out",
            (("ok", "ok"), ("fail", "failed"), ("info", "unknown")),
        ),
        Chart("in_flight", "open requests", "most at once", (("flight", "open"),)),
        *(
            Chart(
                "watch", metric, "per second" if is_counter(metric) else "sum of instances",
                (("flight", "value"),), watch=index,
            )
            for index, metric in enumerate(experiment.watch)
        ),
    ]  # fmt: skip


def charts(numbers: Numbers, design: str) -> list[Chart]:
    """The charts of one design of a finished run, with what is to be seen in words."""
    what, windows, facts = numbers.record.experiment, numbers.windows[design], numbers.facts
    said = [
        _in_words(what, windows, "p99", "p99 at most", format_duration),
        _failures_in_words(what, windows),
        _in_words(what, windows, "in_flight", "at most", format_count),
        *(_watch_in_words(watched(facts, metric, design)) for metric in what.watch),
    ]
    return [replace(chart, words=text) for chart, text in zip(plain(what), said, strict=True)]


def in_words(experiment: Experiment, windows: Sequence[Window]) -> str:
    """What the charts of a design show so far, for those who see none."""
    latency = _in_words(experiment, windows, "p99", "p99 at most", format_duration)
    return f"{latency} {_failures_in_words(experiment, windows)}"


def _in_words(
    experiment: Experiment, windows: Sequence[Window], key: str, what: str, form: Any
) -> str:
    """`p99 at most 16 ms in baseline (T+2 s), 5 s in fault (T+14 s)`, for any column."""
    said = []
    for phase in experiment.phases:
        inside = [
            w for w in windows if phase.start_s <= w["t"] < phase.end_s and w[key] is not None
        ]
        if inside:
            worst = max(inside, key=lambda window: window[key])
            said.append(f"{form(worst[key])} in {phase.name} ({moment(worst['t'])})")
    return f"{what} {', '.join(said)}." if said else "no data."


def _failures_in_words(experiment: Experiment, windows: Sequence[Window]) -> str:
    said = []
    for phase in experiment.phases:
        inside = [w for w in windows if phase.start_s <= w["t"] < phase.end_s]
        bad = sum(window["fail"] for window in inside), sum(window["info"] for window in inside)
        due = sum(window["due"] for window in inside)
        said.append(f"{bad[0]} failed and {bad[1]} unknown of {due:,} in {phase.name}")
    return f"{', '.join(said)}."


def _watch_in_words(values: Values) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "nothing was scraped."
    return f"between {format_count(min(known))} and {format_count(max(known))}."
