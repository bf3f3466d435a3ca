"""Which key an operation is about: samplers over 1..n, fast and seeded.

Key k is also the k-th most popular one, so that a service can be filled with keys "1" to "n".
"""

from __future__ import annotations

import random
from math import exp, expm1, log, log1p
from typing import Protocol


class Keys(Protocol):
    """Draws key after key."""

    def draw(self) -> int:
        """The next key, in 1..n."""
        ...


class Uniform:
    """Every key alike."""

    __slots__ = ("_n", "_random")

    def __init__(self, n: int, rng: random.Random) -> None:
        self._n = n
        self._random = rng.random

    def draw(self) -> int:
        """The next key, in 1..n."""
        return int(self._random() * self._n) + 1


class Zipf:
    """Key k with weight 1/k**s, for any s > 0, with no table however large n is.

    Rejection-inversion (Hoermann and Derflinger 1996, "Rejection-inversion to generate variates
    from monotone discrete distributions", ACM TOMACS 6(3)): invert the integral H of the hat
    x**-s, round to the nearest integer, and reject the little that sticks out; on average below
    1.1 draws a key.
    """

    __slots__ = ("_high", "_low", "_n", "_random", "_s", "_squeeze")

    def __init__(self, n: int, s: float, rng: random.Random) -> None:
        self._n, self._s, self._random = n, s, rng.random
        self._low = self._area(1.5) - 1.0
        self._high = self._area(n + 0.5)
        self._squeeze = 2.0 - self._area_inverse(self._area(2.5) - 2.0**-s)

    def draw(self) -> int:
        """The next key, in 1..n."""
        while True:
            area = self._high + self._random() * (self._low - self._high)
            x = self._area_inverse(area)
            key = min(max(int(x + 0.5), 1), self._n)
            # The first test spares most draws the logarithm and power of the second, exact one.
            if key - x <= self._squeeze or area >= self._area(key + 0.5) - key**-self._s:
                return key

    def _area(self, x: float) -> float:
        """H(x), the integral of t**-s from 1 to x; the limit log(x) at s = 1."""
        t = (1.0 - self._s) * log(x)
        return expm1(t) / t * log(x) if abs(t) > 1e-12 else log(x)

    def _area_inverse(self, area: float) -> float:
        """The x with H(x) = area."""
        t = area * (1.0 - self._s)
        if abs(t) <= 1e-12:
            return exp(area)
        return exp(log1p(max(t, -1.0 + 1e-15)) / t * area)


def keys(kind: str, n: int, s: float, rng: random.Random) -> Keys:
    """The sampler of that kind, `zipf` or `uniform`.

    Raises:
        ValueError: there is no such kind.
    """
    match kind:
        case "zipf":
            return Zipf(n, s, rng)
        case "uniform":
            return Uniform(n, rng)
    raise ValueError(f"`{kind}` is not a kind of keys; there are: zipf, uniform")
