"""What each operation is: drawn from the weighted mix, never depending on any answer.

Each purpose has its own random stream, so designs with the same load and seed get the same
operations in the same order, and adding a request to the mix does not change another one's keys.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from lab.clock import derived_rng
from lab.load.keys import Keys, keys
from lab.load.settings import RequestSpec


class Mix:
    """Draws (index of the request, key). `stream` tells apart the users of a closed loop."""

    __slots__ = ("_bounds", "_keys", "_random", "_total")

    def __init__(self, requests: Sequence[RequestSpec], seed: int, stream: str = "") -> None:
        self._random = derived_rng(seed, "mix", stream).random
        self._bounds = list(accumulate(request.weight for request in requests))
        self._total = self._bounds.pop()
        self._keys = [self._sampler(request, seed, stream) for request in requests]

    def draw(self) -> tuple[int, str]:
        """The next operation; the key is "" for a request without keys."""
        index = bisect(self._bounds, self._random() * self._total) if self._bounds else 0
        sampler = self._keys[index]
        return index, str(sampler.draw()) if sampler else ""

    @staticmethod
    def _sampler(request: RequestSpec, seed: int, stream: str) -> Keys | None:
        if request.keys is None:
            return None
        rng = derived_rng(seed, "keys", request.name, stream)
        return keys(request.keys.kind, request.keys.n, request.keys.s, rng)
