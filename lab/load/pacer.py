"""When operations are due, in an open loop: pure, seeded, and blind to every answer.

One method serves every load shape and both kinds of arrivals. With the rate r(t) in 1/s, the
expected number of arrivals up to t is its integral R(t); the i-th arrival is at R^-1(a_i), where
a_i is i for constant arrivals, and for Poisson arrivals the sum of i exponential gaps of mean 1
(inversion of the integrated rate: Cinlar 1975, "Introduction to Stochastic Processes", ch. 4.7).
Nothing is drawn and thrown away, as thinning would, so one draw is one arrival.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Literal

Arrivals = Literal["poisson", "constant"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of load whose rate goes in a straight line from one value to another."""

    from_per_s: float
    to_per_s: float
    for_s: float

    @property
    def expected(self) -> float:
        """How many arrivals it brings on average: the area under its rate."""
        return (self.from_per_s + self.to_per_s) / 2 * self.for_s

    def when(self, area: float) -> float:
        """Seconds from its start until `area` (> 0, or 0 with a rate > 0) arrivals were expected.

        Solves from*t + slope*t^2/2 = area in the form that never divides by the slope.
        """
        slope = (self.to_per_s - self.from_per_s) / self.for_s
        root = sqrt(max(0.0, self.from_per_s**2 + 2 * slope * area))
        return min(2 * area / (self.from_per_s + root), self.for_s) if area else 0.0


def arrivals(stages: Iterable[Stage], kind: Arrivals, rng: random.Random) -> Iterator[float]:
    """The due times, in seconds since the start of the load, ascending.

    Constant arrivals begin at once; Poisson arrivals after the first exponential gap.
    """
    poisson = kind == "poisson"
    wanted = rng.expovariate(1.0) if poisson else 0.0
    start_s = before = 0.0
    for stage in stages:
        area = stage.expected
        while wanted - before < area:
            yield start_s + stage.when(wanted - before)
            wanted += rng.expovariate(1.0) if poisson else 1.0
        before += area
        start_s += stage.for_s
