"""Anomalies of list-append transactions, and the isolation levels that they exclude.

The approach is Elle's (Kingsbury & Alvaro, "Elle: inferring isolation anomalies from experimental
observations", VLDB 2020): reads of lists show the order of appends, that order shows which
transaction depends on which, and a circle of dependencies is an anomaly (Adya, "Weak consistency",
1999).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lab.checkers.cycles.anomalies import SHAPES, cycle_names, cycles
from lab.checkers.cycles.dependencies import PROCESS, REALTIME, dependencies
from lab.checkers.cycles.graph import Edge, Graph
from lab.checkers.cycles.reads import READ_ANOMALIES
from lab.checkers.cycles.transactions import NotUniqueError, Transactions
from lab.checkers.finding import Finding, found
from lab.history import ClientOp

__all__ = [
    "ANOMALIES",
    "LEVELS",
    "Edge",
    "Graph",
    "Transactions",
    "anomalies",
    "dependencies",
    "excluded_levels",
]

ANOMALIES: Final = (*READ_ANOMALIES, *cycle_names())
"""Every anomaly by name."""

_NEVER = frozenset({"duplicate elements", "garbage reads", "incompatible order", "G0"})
_DIRTY = frozenset({"G1a", "G1b", "G1c"})
_SKEW = frozenset({"internal", "lost update", "G-single"})
_SERIAL = _NEVER | _DIRTY | _SKEW | {"G2-item"}
_SESSION = _SERIAL | {f"{name}-{PROCESS}" for name in SHAPES}

LEVELS: Final[Mapping[str, frozenset[str]]] = {
    "read uncommitted": _NEVER,
    "read committed": _NEVER | _DIRTY,
    "snapshot isolation": _NEVER | _DIRTY | _SKEW,
    "repeatable read": _SERIAL,
    "serializable": _SERIAL,
    "strong session serializable": _SESSION,
    "strict serializable": _SESSION | {f"{name}-{REALTIME}" for name in SHAPES},
}
"""The anomalies that each isolation level promises not to show.

Adya 1999, tables 3.1 and 4.1; `repeatable read` is his PL-2.99, which for lists without predicates
is `serializable`.
"""


def anomalies(ops: Sequence[ClientOp]) -> tuple[Finding, ...]:
    """One finding for each of `ANOMALIES`, of the `txn` operations of one design."""
    try:
        txns = Transactions.of(ops)
    except NotUniqueError as error:
        return tuple(Finding(name, None, 0, reason=str(error)) for name in ANOMALIES)
    judged = sum(op.outcome == "ok" for op in txns.ops)
    wrongs = {name: list(look(txns)) for name, look in READ_ANOMALIES.items()}
    wrongs |= cycles(dependencies(txns), txns)
    return tuple(found(name, wrongs[name], judged, "transaction") for name in ANOMALIES)


def excluded_levels(findings: Iterable[Finding]) -> tuple[str, ...]:
    """The isolation levels that a system with these findings does not keep."""
    seen = {finding.name for finding in findings if finding.holds is False}
    return tuple(level for level, proscribed in LEVELS.items() if seen & proscribed)
