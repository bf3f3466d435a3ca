"""Where a claim stands while its window is still running: an honest guess, never the verdict.

Only per-second windows are at hand, and percentiles do not add up. But a live window counts the
operations that were slower than a claim's bound; where a recording does not, every second bounds
them: of one whose p99 is over the bound more than 1 % were over it, of one whose p50 is over it
more than half. Operations still open and older than the bound are as bad as those. Once all these
exceed what the whole window may spend, the claim is broken whatever still comes; until then it
holds so far.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lab.checkers.seconds import bound_key
from lab.checkers.windows import Span, WindowError, before_trim_s, span_of
from lab.claims import Claim
from lab.experiment import Experiment

ClaimStatus = Literal["waiting", "holding", "broken", "later"]
"""`later`: only the checker can tell, after the run."""

_LATENCY_SHARE = {"p50": 0.5, "p95": 0.05, "p99": 0.01}
"""Which share of a window's operations a latency claim lets be slower than its bound."""

_PER_MILLE = {"p50": 500, "p95": 950, "p99": 990}
"""Ranks of the quantiles in a window, as whole numbers."""


@dataclass(frozen=True, slots=True)
class ClaimState:
    """A claim of a design; `since_s` is the first second that went over its bound.

    `from_s` is where its window begins before its edges are trimmed: a second there decides
    nothing, but a design that is over the bound from then on is so since then.

    `over`: the last second of its window so far went over it as well. `used` of `budget` bad
    operations: both counts, estimated while the window runs; `late` of them are still open, and
    older than the bound.
    """

    side: str
    claim: Claim
    span: Span | None
    status: ClaimStatus
    since_s: float | None = None
    over: bool = False
    used: float = 0.0
    budget: float = 0.0
    late: float = 0.0
    from_s: float = 0.0

    @property
    def expected(self) -> str:
        """Whether a break of it is what was predicted."""
        return "as predicted" if self.side == "breaks" else "not predicted"

    @property
    def failing(self) -> bool:
        """Whether it is broken for good, or was over its bound in the last second."""
        return self.status == "broken" or (self.status == "holding" and self.over)


def claims_at_start(experiment: Experiment, design: str) -> tuple[ClaimState, ...]:
    """All claims of a design before the load is on."""
    chosen = experiment.designs[design]
    sides = (("breaks", chosen.breaks), ("holds", chosen.holds), ("pays", chosen.pays))
    return tuple(_start(side, claim, experiment) for side, claims in sides for claim in claims)


def _start(side: str, claim: Claim, experiment: Experiment) -> ClaimState:
    try:
        span = span_of(claim.window, experiment)
    except WindowError:
        span = None
    can_follow = span is not None and side != "pays" and _allowed_share(claim) is not None
    from_s = before_trim_s(claim.window, span, experiment) if span is not None else 0.0
    return ClaimState(side, claim, span, "waiting" if can_follow else "later", from_s=from_s)


def failing(claims: Iterable[ClaimState]) -> ClaimState | None:
    """The claim that has been failing the longest; None where none fails.

    A design that went over a bound, came back and kept within its budget does not fail.
    """
    found = [claim for claim in claims if claim.failing]
    return min(found, key=lambda claim: claim.since_s or 0.0, default=None)


def _allowed_share(claim: Claim) -> float | None:
    """The share of bad operations that a claim allows; None for claims that cannot be followed."""
    measure, bound = claim.measure, claim.bound
    if bound.reference or measure.request:
        return None
    if measure.name in _LATENCY_SHARE and claim.operator in ("<", "<="):
        return _LATENCY_SHARE[measure.name]
    if measure.name == "errors" and claim.operator in ("<", "<="):
        return bound.value
    if measure.name == "ok" and claim.operator in (">", ">="):
        return 1 - bound.value
    return None


def follow(state: ClaimState, seconds: Sequence[Mapping[str, Any]]) -> ClaimState:
    """Where the claim stands after the last of `seconds` (all of one design's, oldest first)."""
    if state.status == "later" or state.span is None or not seconds:
        return state
    at_s = float(seconds[-1]["t"])
    if at_s >= state.span.end_s:
        return replace(state, over=False)
    if at_s < state.from_s:
        return state
    bad, late = _bad(state.claim, seconds[-1]), _late(state.claim, seconds)
    over = _is_over(state, seconds, bad, late)
    since_s = state.since_s
    if since_s is None and over:
        since_s = at_s
    if at_s < state.span.start_s:
        return replace(state, since_s=since_s if over else None, late=late)
    if state.status == "waiting" and not over:
        since_s = None
    used = state.used - (state.late if state.status != "waiting" else 0.0) + bad + late
    budget = (_allowed_share(state.claim) or 0.0) * _rate_per_s(state.span, seconds)
    budget *= state.span.seconds
    broken = state.status == "broken" or used > budget
    status: ClaimStatus = "broken" if broken else "holding"
    return replace(
        state, status=status, since_s=since_s, over=over, used=used, budget=budget, late=late
    )


def beyond(state: ClaimState, window: Mapping[str, Any]) -> bool:
    """Whether one second, from the claim's window on, is over its bound, whatever that decides."""
    if state.status == "later" or window["t"] < state.from_s:
        return False
    return _bad(state.claim, window) > (_allowed_share(state.claim) or 0.0) * float(window["due"])


def _is_over(
    state: ClaimState, seconds: Sequence[Mapping[str, Any]], bad: float, late: float
) -> bool:
    """Whether more of the last second's operations went bad than the claim allows of them.

    Those that ended, or, where few end, also those that came to be older than the bound while open:
    of as many as were sent in the second that is now that old.
    """
    allowed, ended = _allowed_share(state.claim) or 0.0, float(seconds[-1]["due"])
    if bad > allowed * ended:
        return True
    grown = late - state.late
    if grown <= 0:
        return False
    then = _bound_seconds(state.claim)
    sent = _sent(seconds, len(seconds) - then - 1, len(seconds) - then)
    return bad + grown > allowed * max(ended, sent)


def _late(claim: Claim, seconds: Sequence[Mapping[str, Any]]) -> float:
    """At least how many open operations are older than a latency claim's bound.

    All but those sent since: a driver says how many are open, and how many it sent follows. A
    window by due time knows the end of each operation already, so it has none.
    """
    if claim.measure.name not in _LATENCY_SHARE or "slower" not in seconds[-1]:
        return 0.0
    last = len(seconds)
    young = _sent(seconds, last - _bound_seconds(claim), last)
    return float(max(0, seconds[-1]["in_flight"] - young))


def _bound_seconds(claim: Claim) -> int:
    """A claim's bound in whole seconds, rounded up."""
    return math.ceil(claim.bound.value or 0.0)


def _sent(seconds: Sequence[Mapping[str, Any]], first: int, end: int) -> int:
    """How many operations were sent in these seconds, by their numbers: ended, or open since."""
    first, end = max(0, first), max(0, end)
    if first >= end:
        return 0
    before = seconds[first - 1]["in_flight"] if first else 0
    ended = sum(window["due"] for window in seconds[first:end])
    return int(ended + seconds[end - 1]["in_flight"] - before)


def _rate_per_s(span: Span, seconds: Sequence[Mapping[str, Any]]) -> float:
    """Operations that a second of the window will have: as many as until now, or as before it.

    A system that stalls finishes few, but those that wait will count as well.
    """
    end = len(seconds)
    inside = bisect_left(seconds, span.start_s, key=lambda window: float(window["t"]))
    if "slower" in seconds[-1]:
        return max(_sent(seconds, first, end) / (end - first) for first in (0, inside))
    return max(
        sum(float(w["due"]) for w in seconds[first:]) / (end - first) for first in (0, inside)
    )


def _bad(claim: Claim, window: Mapping[str, Any]) -> float:
    """At least how many operations of one second went against the claim."""
    if claim.measure.name in ("errors", "ok"):
        return float(window["fail"]) + float(window["info"])
    counted = window.get("slower", {}).get(bound_key(claim.bound.value or 0.0))
    if counted is not None:
        return float(counted)
    due = int(window["due"])
    # Nearest rank: the quantile is the ceil(due x share)-th, so it and all behind it were over.
    over = (
        due + 1 - -(-due * rank // 1000)
        for key, rank in _PER_MILLE.items()
        if (window[key] or 0.0) > (claim.bound.value or 0.0)
    )
    return float(max(over, default=0))
