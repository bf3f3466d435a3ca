"""All checkers of truth by the name of what they find."""

from __future__ import annotations

from collections.abc import Sequence

from lab.checkers.cycles import ANOMALIES, anomalies
from lab.checkers.finding import Finding
from lab.checkers.linear import NAME, linearizable
from lab.checkers.truth import TRUTHS
from lab.history import ClientOp


def look(name: str, ops: Sequence[ClientOp]) -> tuple[Finding, ...]:
    """The finding of that name about one design's operations, with those that come with it."""
    if name in ANOMALIES:
        return anomalies(ops)
    return (linearizable(ops) if name == NAME else TRUTHS[name].check(ops),)
