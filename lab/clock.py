"""One monotonic clock and one seed per run.

Operations, faults and samples are all stamped in seconds since the run's zero (the planned start
of the load). Wall-clock time appears once, in the run's description, to line up with Prometheus.
"""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """A run's clock: `zero_s` reads like `time.monotonic()`, `zero_unix_s` is the same instant."""

    zero_s: float
    zero_unix_s: float

    @classmethod
    def starting_in(cls, delay_s: float) -> Clock:
        """A clock whose zero lies `delay_s` seconds ahead."""
        now_s, now_unix_s = time.monotonic(), time.time()
        return cls(now_s + delay_s, now_unix_s + delay_s)

    def now(self) -> float:
        """Seconds since the run's zero; negative before it."""
        return time.monotonic() - self.zero_s

    def unix(self, at_s: float) -> float:
        """Unix time of a moment of this run."""
        return self.zero_unix_s + at_s


def derived_rng(seed: int, *names: str) -> random.Random:
    """A random generator that depends on the run's seed and a purpose, and on nothing else.

    Two purposes never share a stream, so adding a random draw in one place does not change the
    draws of another (the reason `random.seed` once per process is not enough).
    """
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))
