"""The run second by second, for charts, the terminal and `windows.jsonl`.

A window is a dict with the keys
    t          start of the second, in run seconds
    due        operations due in it; each of them is one of:
    ok, fail, info
    p50, p95, p99   latency in seconds of all of them, None where there were none
    in_flight  the most operations open at one moment of it
    attempts   how often clients tried, over all of them
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lab.checkers.facts import Facts, Operations
from lab.checkers.measures import quantile
from lab.checkers.metrics import totals
from lab.checkers.windows import Span
from lab.claims import LATENCY, Measure
from lab.experiment import Experiment
from lab.history import History, Op


def per_second(experiment: Experiment, history: History, design: str) -> list[dict[str, Any]]:
    """One window for every second of the load, in order, also where nothing was due."""
    operations = Operations([op for op in history.ops if op.design == design])
    return [_settled(operations, second) for second in range(math.ceil(experiment.duration_s))]


def bound_key(bound_s: float) -> str:
    """Under which name a live window counts the operations slower than a bound: `0.3`."""
    return f"{bound_s:g}"


def latency_bounds(experiment: Experiment, design: str) -> tuple[float, ...]:
    """The bounds in seconds of a design's latency claims, as far as they are numbers."""
    chosen = experiment.designs[design]
    claims = (*chosen.breaks, *chosen.holds)
    bounds = (c.bound.value for c in claims if c.measure.name in LATENCY and not c.bound.reference)
    return tuple(sorted({bound for bound in bounds if bound}))


def live_window(
    t_s: float,
    tick: Mapping[str, Any],
    finished: Sequence[Op],
    bounds_s: Sequence[float] = (),
) -> dict[str, Any]:
    """The window of a second that is just over, while the run goes on.

    Operations count in the second in which they *finished*: of those still open only the driver
    knows, and its tick says how many they are. `per_second` tells it by due time afterwards.
    `slower` counts, for each of the bounds, the operations that took longer.

    Args:
        t_s: the run second that ended.
        tick: the driver's tick message.
        finished: the operations that finished since the tick before.
        bounds_s: latencies that claims must stay under, in seconds.
    """
    window = _window(max(0, round(t_s) - 1), finished)
    slower = {
        bound_key(bound_s): sum(op.done_s - op.due_s > bound_s for op in finished)
        for bound_s in bounds_s
    }
    return {**window, "in_flight": tick["in_flight"], "slower": slower}


def metric_per_second(facts: Facts, metric: str, design: str) -> list[float | None]:
    """A metric (a selector may follow its name), summed over a design's instances.

    One value per second of the load, the last one known in it; None where nothing was scraped.
    """
    read = Measure("last", metric)
    series = facts.series(read.metric or "", design, read.selector)
    seconds = math.ceil(facts.experiment.duration_s)
    values: list[float | None] = [None] * seconds
    for at_s, value in totals(series, Span(0.0, seconds)):
        if at_s < seconds:
            values[int(at_s)] = value
    return values


def _settled(operations: Operations, second: int) -> dict[str, Any]:
    span = Span(second, second + 1)
    window = _window(second, operations.due_in(span))
    return {**window, "in_flight": operations.most_open_in(span)}


def _window(second: int, ops: Sequence[Op]) -> dict[str, Any]:
    ordered = sorted(op.done_s - op.due_s for op in ops)
    outcomes = Counter(op.outcome for op in ops)
    quantiles = {
        f"p{percent}": round(quantile(ordered, 10 * percent), 6) if ordered else None
        for percent in (50, 95, 99)
    }
    return {
        "t": second,
        "due": len(ops),
        **{outcome: outcomes[outcome] for outcome in ("ok", "fail", "info")},
        **quantiles,
        "attempts": sum(op.attempts for op in ops),
    }
