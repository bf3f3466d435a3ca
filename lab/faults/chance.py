"""Whether chance explains a count: exact tails of the binomial distribution."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_RARE = 0.001


def plausible(hits: int, tries: int, share: float) -> bool:
    """Whether so many hits are likely enough where each try hits with that chance.

    Only one honest count in 500 at most is called unlikely. `share` is above 0 and below 1.
    """

    def chance(of: range) -> float:
        return sum(exp(_log_choices(tries, k) + k * log_hit + (tries - k) * log_miss) for k in of)

    log_hit, log_miss = log(share), log1p(-share)

    return chance(range(hits + 1)) > _RARE and chance(range(hits, tries + 1)) > _RARE


def _log_choices(tries: int, hits: int) -> float:
    """The logarithm of the binomial coefficient, which itself is too big for many tries."""
    return lgamma(tries + 1) - lgamma(hits + 1) - lgamma(tries - hits + 1)
