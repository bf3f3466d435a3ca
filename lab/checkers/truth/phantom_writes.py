"""Phantom writes: read, and never written, or only later, or by a write that failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lab.checkers.finding import Counterexample, Finding, brief, found
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.items import Queue
from lab.checkers.truth.values import Values
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts values by object, each once."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "write", "cas", "add", "enqueue"):
        reads = list(_reads(one))
        judged += len(reads)
        wrongs += _unwritten(one, reads)
    return found("phantom writes", wrongs, judged, "value that was read")


def _reads(one: Object) -> Iterator[tuple[Any, ClientOp]]:
    """Every value that an answer holds."""
    if one.has("enqueue"):
        yield from Queue(one).taken
        return
    for op in one.ok("read"):
        values = (op.result or ()) if one.has("add") else (op.result,)
        for value in values:
            if value is not None:
                yield value, op


def _unwritten(one: Object, reads: Sequence[tuple[Any, ClientOp]]) -> Iterator[Counterexample]:
    first_s = _first_written(one)
    told = set()
    for value, op in reads:
        if value in told or first_s.get(value, op.returned_s + 1) <= op.returned_s:
            continue
        told.add(value)
        failed = [w for w in one.ops if w.outcome == "fail" and w.argument == value][:1]
        why = "whose write had failed" if failed else "which nobody had written"
        yield Counterexample(
            f"{brief(value)} was read{f' in {one.key}' if one.key else ''}, {why}",
            (*failed, op),
            (len(failed),),
        )


def _first_written(one: Object) -> dict[Any, float]:
    if one.has("write", "cas"):
        values = Values(one)
        return {value: values.came_s(value) for value in values.writers}
    found_s: dict[Any, float] = {}
    for op in one.possible("add", "enqueue"):
        found_s.setdefault(op.argument, op.invoked_s)
    return found_s


PHANTOM_WRITES = Truth(
    "phantom writes",
    "read, and never written, only later, or by a write that failed",
    frozenset({"write", "cas", "add", "enqueue"}),
    check,
)
