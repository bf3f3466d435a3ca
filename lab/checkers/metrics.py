"""Numbers from scraped metrics: the sum over a design's instances at each moment, and increases.

Instances are scraped at different moments of each second, so the sum at a moment takes each
series' latest value, unless that is too old to say anything about now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import merge
from itertools import groupby

from lab.checkers.facts import Series
from lab.checkers.windows import Span

LOOKBACK_S = 1.5
"""How old a value may be to count as current: one scrape interval (1 s) and half of one for jitter.
A longer one would keep the last word of a killed instance alive."""


def totals(series: Sequence[Series], span: Span) -> list[tuple[float, float]]:
    """(moment, sum over the series) at every moment of a window at which any was scraped.

    The end of the window counts as inside. Moments at which nothing was scraped are not there.
    """
    points = merge(*(_points(one, number, span) for number, one in enumerate(series)))
    latest: dict[int, tuple[float, float]] = {}
    found = []
    for at_s, together in groupby(points, key=lambda point: point[0]):
        latest.update({number: (at_s, value) for _, number, value in together})
        if at_s >= span.start_s:
            fresh = [value for seen_s, value in latest.values() if at_s - seen_s <= LOOKBACK_S]
            found.append((at_s, sum(fresh)))
    return found


def increase(series: Sequence[Series], span: Span) -> tuple[float, int]:
    """How much counters went up in a window, and the number of values that say so.

    Each series counts from its last value at or before the window's start. One that appears later
    was born in the window (labelled counters appear at their first increment) and counts from 0.
    A value below the one before is a counter that started again from 0.
    """
    total, values = 0.0, 0
    for one in series:
        first = bisect_right(one.times_s, span.start_s)
        after = bisect_right(one.times_s, span.end_s)
        before = one.values[first - 1] if first else 0.0
        for value in one.values[first:after]:
            total += value - before if value >= before else value
            before = value
        values += after - first
    return total, values


def _points(series: Series, number: int, span: Span) -> list[tuple[float, int, float]]:
    """A series' values of a window and of the lookback before it, as (moment, number, value)."""
    first = bisect_right(series.times_s, span.start_s - LOOKBACK_S)
    after = bisect_right(series.times_s, span.end_s)
    times_s, values = series.times_s[first:after], series.values[first:after]
    return [(at_s, number, value) for at_s, value in zip(times_s, values, strict=True)]
