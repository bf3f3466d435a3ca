"""Where a claim stands while its window is still running: an honest guess, never the verdict.

Only per-second windows are at hand, and percentiles do not add up. But every second bounds how many
of its operations were bad: of a second whose p99 is over the bound more than 1 % were over it, of
one whose p50 is over it more than half. Once these lower bounds exceed what the whole window may
spend, the claim is broken whatever still comes; until then it holds so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lab.checkers.windows import Span, WindowError, span_of
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

    `over`: the last second of its window so far went over it as well.

    `used` of `budget` bad operations: both counts, estimated while the window runs.
    """

    side: str
    claim: Claim
    span: Span | None
    status: ClaimStatus
    since_s: float | None = None
    over: bool = False
    used: float = 0.0
    budget: float = 0.0

    @property
    def expected(self) -> str:
        """Whether a break of it is what was predicted."""
        return "as predicted" if self.side == "breaks" else "not predicted"


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
    return ClaimState(side, claim, span, "waiting" if can_follow else "later")


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
    now = seconds[-1]
    at_s = float(now["t"])
    if not state.span.start_s <= at_s < state.span.end_s:
        return state
    bad, allowed = _bad(state.claim, now), _allowed_share(state.claim) or 0.0
    since_s = state.since_s
    over = bad > allowed * float(now["due"])
    if since_s is None and over:
        since_s = at_s
    used = state.used + bad
    budget = allowed * _rate_per_s(state.span, seconds) * state.span.seconds
    broken = state.status == "broken" or used > budget
    status: ClaimStatus = "broken" if broken else "holding"
    return replace(state, status=status, since_s=since_s, over=over, used=used, budget=budget)


def _rate_per_s(span: Span, seconds: Sequence[Mapping[str, Any]]) -> float:
    """Operations that a second of the window will have: as many as until now, or as before it.

    A system that stalls finishes few, but those that wait will count as well.
    """
    inside = [float(w["due"]) for w in seconds if span.start_s <= float(w["t"]) < span.end_s]
    overall = sum(float(w["due"]) for w in seconds) / len(seconds)
    return max(overall, sum(inside) / len(inside))


def _bad(claim: Claim, window: Mapping[str, Any]) -> float:
    """At least how many operations of one second went against the claim."""
    if claim.measure.name in ("errors", "ok"):
        return float(window["fail"]) + float(window["info"])
    due = int(window["due"])
    # Nearest rank: the quantile is the ceil(due x share)-th, so it and all behind it were over.
    over = (
        due + 1 - -(-due * rank // 1000)
        for key, rank in _PER_MILLE.items()
        if (window[key] or 0.0) > claim.bound.value
    )
    return float(max(over, default=0))
