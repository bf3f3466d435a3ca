"""Retry policies: whether, how often and how late a client tries again."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.retry import BUDGET_CAP, Retrier, RetryPolicy, worth_retrying


def retrier(**policy: Any) -> Retrier:
    return Retrier(RetryPolicy(**policy), random.Random(1))


def test_no_retries_is_the_default() -> None:
    """One attempt, then the client gives up."""
    assert retrier().pause_s(1) is None


def test_naive_retries_come_at_once_until_attempts_are_used_up() -> None:
    """Four attempts are one try and three immediate retries."""
    naive = retrier(attempts=4)
    assert [naive.pause_s(made) for made in (1, 2, 3, 4)] == [0, 0, 0, None]


def test_backoff_doubles_up_to_its_cap() -> None:
    """50 ms, 100, 200, 400, then 500 for ever."""
    patient = retrier(attempts=20, backoff_s=0.05, backoff_max_s=0.5)
    pauses = [patient.pause_s(made) for made in range(1, 8)]
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5])


def test_full_jitter_spreads_evenly_from_nothing_to_the_whole_pause() -> None:
    """The mean is half the pause and both ends are reached."""
    jittered = retrier(attempts=20, backoff_s=0.1, jitter="full")
    pauses = [jittered.pause_s(1) or 0.0 for _ in range(4000)]
    assert 0 <= min(pauses) < 0.002
    assert 0.098 < max(pauses) <= 0.1
    assert sum(pauses) / 4000 == pytest.approx(0.05, rel=0.05)


def test_a_seed_reproduces_the_jitter() -> None:
    """Two clients of one seed wait alike."""
    one, other = (retrier(attempts=9, backoff_s=1, jitter="full") for _ in range(2))
    assert [one.pause_s(1) for _ in range(9)] == [other.pause_s(1) for _ in range(9)]


@given(
    st.floats(0.01, 1),
    st.lists(st.booleans(), max_size=400),
)
def test_a_budget_is_never_overdrawn(share: float, operations: list[bool]) -> None:
    """Whatever fails when, retries stay within the share of first attempts."""
    frugal = retrier(attempts=4, budget=share)
    retries = 0
    for firsts, fails in enumerate(operations, 1):
        frugal.first_attempt()
        made = 1
        while fails and frugal.pause_s(made) is not None:
            made += 1
            retries += 1
        assert retries <= share * firsts + 1e-6


def test_a_budget_of_a_tenth_lets_every_tenth_failure_retry() -> None:
    """When everything fails, 1,000 operations make 100 retries, not 3,000."""
    frugal = retrier(attempts=4, budget=0.1)
    retries = 0
    for _ in range(1000):
        frugal.first_attempt()
        made = 1
        while frugal.pause_s(made) is not None:
            made += 1
            retries += 1
    assert retries == 100


def test_a_quiet_hour_saves_up_no_storm() -> None:
    """However long all was well, at most the cap of retries comes at once."""
    frugal = retrier(attempts=20, budget=0.5)
    for _ in range(100_000):
        frugal.first_attempt()
    retries = 0
    while frugal.pause_s(1) is not None:
        retries += 1
    assert retries == BUDGET_CAP


@pytest.mark.parametrize(
    ("outcome", "status", "worth"),
    [
        ("ok", 200, False),
        ("ok", 302, False),
        ("fail", 0, True),
        ("fail", 500, True),
        ("fail", 503, True),
        ("fail", 429, True),
        ("fail", 404, False),
        ("info", 0, True),
        ("info", 200, True),
    ],
)
def test_only_what_may_fare_better_is_retried(outcome: str, status: int, *, worth: bool) -> None:
    """A 404 stays a 404; an overloaded or silent server may answer next time."""
    assert worth_retrying(outcome, status) is worth
