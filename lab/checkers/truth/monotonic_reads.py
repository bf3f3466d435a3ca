"""Monotonic reads: a process never reads something older than it read before.

Terry et al., "Session guarantees for weakly consistent replicated data" (1994); a session is one
process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lab.checkers.finding import Arrow, Counterexample, Finding, brief, found
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.values import Values
from lab.history import ClientOp

_OBJECTS = ("write", "cas", "add", "increment", "append")


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts reads of a process that show less than its read before."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, *_OBJECTS):
        older = _older(one)
        last: dict[int, ClientOp] = {}
        for read in one.ok("read"):
            before = last.get(read.process)
            judged += before is not None
            if before is not None and older(read.result, before.result):
                then = f"{brief(before.result)} and then {brief(read.result)}"
                text = f"process {read.process} read {then}, which is older"
                wrongs.append(Counterexample(text, (before, read), (1,), (Arrow(0, 1, "then"),)))
            last[read.process] = read
    return found("non-monotonic reads", wrongs, judged, "second read of a process")


def _older(one: Object) -> Callable[[Any, Any], bool]:
    """Whether an answer certainly shows an earlier state than another, for this kind of object."""
    if one.has("add"):
        return lambda value, than: not one.has("remove") and not set(than or ()) <= set(value or ())
    if one.has("increment"):
        rising = all(op.argument > 0 for op in one.possible("increment"))
        return lambda value, than: rising and value < than
    if one.has("append"):
        return lambda value, than: not one.has("write") and not value.startswith(than)
    values = Values(one)
    return values.older


MONOTONIC_READS = Truth(
    "non-monotonic reads",
    "a process reads something older than it read before",
    frozenset(_OBJECTS),
    check,
)
