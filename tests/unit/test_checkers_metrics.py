"""Numbers from scraped metrics: sums over instances, resets, gaps."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checkers import Facts, measure, metric_per_second
from lab.claims import parse_measure
from tests.unit.checkers_runs import facts, sample

_values = st.lists(st.integers(0, 50), min_size=35, max_size=35)


def _value(text: str, known: Facts, design: str = "naive") -> float | None:
    return measure(*parse_measure(text), design, known).value


@settings(max_examples=50, deadline=None)
@given(one=_values, two=_values)
def test_reductions_of_the_sum_over_instances(one: list[int], two: list[int]) -> None:
    """At each moment the instances are summed, then the sums of the window are reduced."""
    known = facts(
        samples=[
            *(sample(t, v, instance="naive/app-1") for t, v in enumerate(one)),
            *(sample(t, v, instance="naive/app-2") for t, v in enumerate(two)),
        ]
    )
    sums = [a + b for a, b in zip(one, two, strict=True)][11:20]
    assert _value("peak(queue) during fault", known) == max(sums)
    assert _value("least(queue) during fault", known) == min(sums)
    assert _value("average(queue) during fault", known) == pytest.approx(sum(sums) / 9)
    assert _value("last(queue) during fault", known) == sums[-1]


def test_instances_scraped_at_different_moments_still_add_up() -> None:
    """Scrapes 0.4 s apart are one picture of the system, at every moment of the window."""
    known = facts(
        samples=[
            *(sample(t + 0.1, 3) for t in range(35)),
            *(sample(t + 0.5, 4, instance="naive/app-2") for t in range(35)),
        ]
    )
    assert _value("least(queue) during fault", known) == 7
    assert _value("peak(queue) during fault", known) == 7


def test_a_dead_instance_counts_no_longer() -> None:
    """After its last scrape an instance is remembered for a moment, not for ever."""
    known = facts(
        samples=[
            *(sample(t, 3) for t in range(35)),
            *(sample(t, 4, instance="naive/app-2") for t in range(15)),
        ]
    )
    assert _value("peak(queue) during fault", known) == 7
    assert _value("last(queue) during fault", known) == 3


def test_own_and_shared_series_count_and_others_do_not() -> None:
    """A design has its own instances and those that all designs share."""
    known = facts(
        samples=[
            sample(15, 1),
            sample(15, 20, design="", instance="db-1"),
            sample(15, 300, design="sturdy", instance="sturdy/app-1"),
            sample(15, 4000, name="other"),
        ]
    )
    assert _value("last(queue)", known) == 21
    assert _value("last(queue)", known, "sturdy") == 320


def test_selector() -> None:
    """A selector keeps the series that have all of its labels; an instance may go by its host."""
    known = facts(
        samples=[
            sample(15, 1, route="/x", code="200"),
            sample(15, 20, route="/x", code="500"),
            sample(15, 300, route="/y", instance="naive/app-2"),
        ]
    )
    assert _value('last(queue{route="/x"})', known) == 21
    assert _value('last(queue{route="/x",code="500"})', known) == 20
    assert _value('last(queue{instance="app-2"})', known) == 300
    assert _value('last(queue{instance="naive/app-2"})', known) == 300
    assert _value('last(queue{route="/z"})', known) is None


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.integers(0, 9), min_size=35, max_size=35), dies_at=st.integers(1, 34))
def test_increase_survives_a_restart(steps: list[int], dies_at: int) -> None:
    """A counter that starts again from 0 loses nothing of what it counted before and after."""
    counted, total = [], 0
    for second, step in enumerate(steps):
        # The step is counted after the restart: a counter of 0 + step is what is scraped.
        total = step if second == dies_at else total + step
        counted.append(sample(second, total))
    true_increase = sum(steps[second] for second in range(12, 20))
    found = _value("increase(queue) from 11s to 19s", facts(samples=counted))
    hidden = dies_at in range(12, 20) and counted[dies_at].value >= counted[dies_at - 1].value
    if not hidden:  # a reset that overtakes the old value at once cannot be seen by anybody
        assert found == true_increase


def test_increase_counts_from_the_value_before_the_window() -> None:
    """What was counted before the window is not in it, however long ago that was scraped."""
    known = facts(samples=[sample(3, 100), sample(12, 105), sample(18, 107), sample(25, 900)])
    assert _value("increase(queue) during fault", known) == 7


def test_increase_of_a_counter_born_in_the_window() -> None:
    """A labelled counter appears with its first increment, and that one counts too."""
    known = facts(samples=[sample(12, 1, code="500"), sample(13, 3, code="500")])
    assert _value("increase(queue) during fault", known) == 3


def test_increase_adds_series_up() -> None:
    """Each series goes up by itself; one that resets does not eat the increase of another."""
    one = [sample(t, v) for t, v in [(10, 5), (12, 9), (15, 2)]]
    two = [sample(t, v, instance="naive/app-2") for t, v in [(10, 50), (12, 60), (15, 70)]]
    assert _value("increase(queue) during fault", facts(samples=one + two)) == (4 + 2) + 20


@pytest.mark.parametrize("name", ["peak", "least", "average", "last", "increase"])
def test_nothing_scraped_is_not_zero(name: str) -> None:
    """Without a value in the window there is no number, even when there is one before it."""
    measured = measure(*parse_measure(f"{name}(queue) during fault"), "naive", facts())
    assert measured.value is None
    assert "`queue`" in measured.reason
    stale = facts(samples=[sample(2, 5), sample(30, 5), sample(15, math.nan)])
    assert _value(f"{name}(queue) during fault", stale) is None


def test_per_second_with_gaps() -> None:
    """A second without a scrape is a gap, and never a zero."""
    known = facts(samples=[sample(t + 0.3, t, route="/x") for t in range(35) if t not in (7, 8)])
    values = metric_per_second(known, "queue", "naive")
    assert len(values) == 35
    assert [second for second, value in enumerate(values) if value is None] == [7, 8]
    assert values[9] == 9
    assert metric_per_second(known, 'queue{route="/y"}', "naive") == [None] * 35
