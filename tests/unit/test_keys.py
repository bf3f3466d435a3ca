"""Keys and mix: what an operation is about."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.keys import Uniform, Zipf, keys
from lab.load.mix import Mix
from lab.load.settings import KeySpec, RequestSpec


@pytest.mark.parametrize("s", [0.5, 0.99, 1.0, 1.1, 2.0])
def test_zipf_draws_each_key_with_its_exact_share(s: float) -> None:
    """Chi-square over 20 keys stays below its 99.99 % quantile (47 at 19 degrees), s = 1 too."""
    n, draws = 20, 300_000
    zipf = Zipf(n, s, random.Random(11))
    counts = Counter(zipf.draw() for _ in range(draws))
    total = sum(k**-s for k in range(1, n + 1))
    expected = {k: draws * k**-s / total for k in range(1, n + 1)}
    assert set(counts) <= set(expected)
    assert sum((counts[k] - e) ** 2 / e for k, e in expected.items()) < 47


@given(st.integers(1, 10_000_000), st.floats(0.01, 5), st.integers(0, 9))
def test_every_sampler_stays_within_its_keys(n: int, s: float, seed: int) -> None:
    """Keys are 1..n for any n and exponent that an experiment may ask for."""
    for kind in ("zipf", "uniform"):
        sampler = keys(kind, n, s, random.Random(seed))
        assert all(1 <= sampler.draw() <= n for _ in range(20))


def test_uniform_favours_no_key() -> None:
    """Chi-square over 50 keys stays below its 99.99 % quantile (95 at 49 degrees)."""
    uniform = Uniform(50, random.Random(12))
    counts = Counter(uniform.draw() for _ in range(50_000))
    assert set(counts) == set(range(1, 51))
    assert sum((c - 1000) ** 2 / 1000 for c in counts.values()) < 95


def test_an_unknown_kind_is_named() -> None:
    """The error says what there is."""
    with pytest.raises(ValueError, match=r"`gauss`.*zipf, uniform"):
        keys("gauss", 10, 1.0, random.Random(1))


FOLLOW = RequestSpec("follow", "GET", "/{key}", 1.0, KeySpec("zipf", 1000))
REPORT = RequestSpec("report", "GET", "/report/{key}", 0.05, KeySpec("uniform", 1000))
HEALTH = RequestSpec("health", "GET", "/health", 0.5)


def drawn(mix: Mix, count: int) -> list[tuple[int, str]]:
    return [mix.draw() for _ in range(count)]


def test_a_seed_reproduces_the_mix_and_its_keys() -> None:
    """The same seed gives the same operations; another seed, or another user, different ones."""
    requests = (FOLLOW, REPORT, HEALTH)
    assert drawn(Mix(requests, 1), 500) == drawn(Mix(requests, 1), 500)
    assert drawn(Mix(requests, 1), 500) != drawn(Mix(requests, 2), 500)
    assert drawn(Mix(requests, 1, "user 1"), 500) != drawn(Mix(requests, 1, "user 2"), 500)


def test_weights_are_shares_of_the_mix() -> None:
    """1 : 0.05 : 0.5 over 20,000 draws."""
    counts = Counter(index for index, _ in drawn(Mix((FOLLOW, REPORT, HEALTH), 3), 20_000))
    for index, weight in enumerate((1.0, 0.05, 0.5)):
        assert counts[index] / 20_000 == pytest.approx(weight / 1.55, abs=0.015)


def test_another_request_in_the_mix_leaves_the_keys_of_the_first_alone() -> None:
    """The n-th key of `follow` is the same with and without `report` beside it."""
    alone = [key for _, key in drawn(Mix((FOLLOW,), 4), 100)]
    beside = [key for index, key in drawn(Mix((FOLLOW, REPORT), 4), 300) if index == 0]
    assert beside[:100] == alone


def test_a_request_without_keys_has_none() -> None:
    """Its key is the empty string."""
    assert drawn(Mix((HEALTH,), 5), 3) == [(0, "")] * 3
