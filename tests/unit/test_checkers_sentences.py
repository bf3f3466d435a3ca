"""Sentences with measured numbers."""

from __future__ import annotations

import pytest

from lab.checkers import explain, say
from tests.unit.checkers_runs import facts, healthy, sample, sick_in_fault, steady


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no numbers", "no numbers"),
        ("{p90 during fault} late", "1 s late"),
        ("{ok during fault} of {offered}", "0 % of 10/s"),
        ("{10 * p90 during fault} at once", "10 at once"),
        ("{p90 / 2 * 3 during fault}", "1.5"),
        ('{2 * last(queue{a="b"})}', "?"),
        ("{recovery of fault}", "2 s"),
        ("{last(queue)} waiting", "3,400 waiting"),
        ("{p99 during fault}", "?"),
        ("{peak(other) during fault} and {p50 during nowhere}", "? and ?"),
        ("{attempts / ok during fault}", "?"),
        ("{3 * recovery}", "6"),
    ],
)
def test_sentence_said(text: str, said: str) -> None:
    """Numbers come with their units; what could not be measured is a question mark."""
    samples = [sample(t, 100 * t) for t in range(35)]
    assert say(text, "naive", facts(steady(sick_in_fault), samples)) == said


def test_explain_each_design() -> None:
    """Designs without a sentence have no entry."""
    known = facts(steady(healthy), why="{p50} at the median")
    assert explain(known) == {"naive": "10 ms at the median"}


def test_never_times_something_is_no_number() -> None:
    """An infinite recovery is `never` alone, and nothing to calculate with."""
    known = facts(steady(lambda t: (0.01, "ok" if t < 10 else "fail")))
    assert say("{recovery} {2 * recovery}", "naive", known) == "never ?"
