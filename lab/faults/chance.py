"""Whether chance explains a count: exact tails of the binomial distribution."""

from __future__ import annotations

from math import comb

_RARE = 0.001


def plausible(hits: int, tries: int, share: float) -> bool:
    """Whether so many hits are likely enough where each try hits with that chance.

    Only one honest count in 500 at most is called unlikely.
    """

    def chance(of: range) -> float:
        return sum(comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in of)

    return chance(range(hits + 1)) > _RARE and chance(range(hits, tries + 1)) > _RARE
