"""What a client does after a failed attempt: nothing, try again at once, or with manners. Pure.

none     attempts 1
naive    attempts n, no backoff, no budget: n times the load on whoever is already down
mannered attempts n, a budget over all operations, backoff that doubles, full jitter
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

BUDGET_CAP = 10.0
"""Most retries a budget can save up (the `maxTokens` of gRPC's retry throttling, gRFC A6)."""

_RETRIED_4XX = (408, 429)
"""Request Timeout and Too Many Requests; other 4xx say that the same request will fail again."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when to try again; `attempts` counts the first one.

    `budget` is the share of first attempts that may be retried over all operations of the design
    (None: any number; Google SRE book ch. 21 uses 10 %). The pause before the k-th retry is
    `backoff_s * 2**(k-1)`, at most `backoff_max_s`; with `jitter` "full" it is drawn evenly from 0
    up to that (Brooker 2015, "Exponential backoff and jitter", AWS).
    """

    attempts: int = 1
    budget: float | None = None
    backoff_s: float = 0.0
    backoff_max_s: float = 10.0
    jitter: Literal["none", "full"] = "none"


def worth_retrying(outcome: str, status: int) -> bool:
    """Whether the same request might fare better next time."""
    return outcome != "ok" and not (400 <= status < 500 and status not in _RETRIED_4XX)


class Retrier:
    """One policy at work over all operations of a driver.

    The budget is a token bucket: a first attempt puts in `budget` tokens, a retry takes one out,
    and it starts empty, so retries never exceed that share of first attempts.
    """

    __slots__ = ("_policy", "_rng", "_tokens")

    def __init__(self, policy: RetryPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._tokens = 0.0

    def first_attempt(self) -> None:
        """An operation begins."""
        if self._policy.budget is not None:
            self._tokens = min(self._tokens + self._policy.budget, BUDGET_CAP)

    def pause_s(self, attempts: int) -> float | None:
        """Seconds to wait before the next attempt of an operation tried `attempts` times already.

        None: give up. Otherwise the retry counts as taken.
        """
        policy = self._policy
        if attempts >= policy.attempts or not self._pay():
            return None
        pause_s = min(policy.backoff_s * 2.0 ** (attempts - 1), policy.backoff_max_s)
        return self._rng.uniform(0.0, pause_s) if policy.jitter == "full" else pause_s

    def _pay(self) -> bool:
        if self._policy.budget is None:
            return True
        if self._tokens < 1.0 - 1e-9:  # ten times 0.1 is a little below 1
            return False
        self._tokens -= 1.0
        return True
