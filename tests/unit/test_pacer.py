"""The pacer: when operations are due."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.pacer import Stage, arrivals

rates = st.floats(0, 500)
stages = st.lists(st.builds(Stage, rates, rates, st.floats(0.01, 3)), min_size=1, max_size=4)


def steady(rate_per_s: float, for_s: float) -> list[Stage]:
    return [Stage(rate_per_s, rate_per_s, for_s)]


def test_constant_arrivals_are_evenly_spaced_from_zero() -> None:
    """At 4/s the first four seconds hold exactly the quarters."""
    assert list(arrivals(steady(4, 1.5), "constant", random.Random(1))) == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1.0, 1.25]
    )


@given(stages, st.integers(0, 99))
def test_constant_arrivals_are_as_many_as_the_area_under_the_rate(
    parts: list[Stage], seed: int
) -> None:
    """No load shape gains or loses an arrival, whatever its ramps and steps."""
    times = list(arrivals(parts, "constant", random.Random(seed)))
    area = sum(stage.expected for stage in parts)
    assert area - 1e-6 <= len(times) <= area + 1 + 1e-6


@given(stages, st.sampled_from(["poisson", "constant"]), st.integers(0, 99))
def test_arrivals_ascend_and_stay_within_the_stages(parts: list[Stage], kind, seed: int) -> None:
    """Due times never go back, nor past the end."""
    times = list(arrivals(parts, kind, random.Random(seed)))
    assert all(a <= b for a, b in pairwise(times))
    assert all(0 <= t <= sum(s.for_s for s in parts) + 1e-9 for t in times)


def test_a_seed_reproduces_poisson_arrivals() -> None:
    """The same seed gives the same due times, another one different ones."""
    once, again, other = (
        list(arrivals(steady(50, 4), "poisson", random.Random(s))) for s in (1, 1, 2)
    )
    assert once == again != other


def test_poisson_gaps_are_exponential() -> None:
    """Mean gap 1/rate, standard deviation as large as the mean, 1/e of gaps longer than it."""
    times = list(arrivals(steady(100, 200), "poisson", random.Random(3)))
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((g - mean) ** 2 for g in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.01, rel=0.05)
    assert deviation == pytest.approx(mean, rel=0.05)
    assert sum(g > mean for g in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)


def test_counts_per_second_vary_as_poisson_counts_do() -> None:
    """The variance of counts equals their mean (an even pacer's would be near 0)."""
    times = list(arrivals(steady(50, 400), "poisson", random.Random(4)))
    counts = [0] * 400
    for t in times:
        counts[int(t)] += 1
    mean = sum(counts) / 400
    variance = sum((c - mean) ** 2 for c in counts) / 400
    assert variance / mean == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_a_ramp_brings_a_quarter_of_its_arrivals_in_its_first_half(kind) -> None:
    """From 0 to 1000/s over 10 s: 1,250 of 5,000 before half time."""
    times = list(arrivals([Stage(0, 1000, 10)], kind, random.Random(5)))
    assert len(times) == pytest.approx(5000, rel=0.06)
    assert sum(t < 5 for t in times) / len(times) == pytest.approx(0.25, abs=0.03)


def test_a_ramp_down_to_zero_mirrors_a_ramp_up() -> None:
    """The numerically awkward end, where the rate reaches 0, is no different."""
    up = list(arrivals([Stage(0, 100, 10)], "constant", random.Random(0)))
    down = list(arrivals([Stage(100, 0, 10)], "constant", random.Random(0)))
    assert len(up) == len(down) == 500
    assert down[1] - down[0] < 0.011 < up[1] - up[0]
    # Constant arrivals are where the area is whole: r(t) = 10 t up, and its mirror image down.
    assert up[1:] == pytest.approx([(n / 5) ** 0.5 for n in range(1, 500)])
    assert down == pytest.approx([10 - ((500 - n) / 5) ** 0.5 for n in range(500)])


def test_steps_change_the_rate_at_once_and_a_silent_stage_is_silent() -> None:
    """20/s, nothing, then 100/s: each stage keeps its own rate."""
    parts = [*steady(20, 2), *steady(0, 2), *steady(100, 2)]
    times = list(arrivals(parts, "constant", random.Random(0)))
    per_stage = [sum(2 * i <= t < 2 * i + 2 for t in times) for i in range(3)]
    assert per_stage == [40, 0, 200]
