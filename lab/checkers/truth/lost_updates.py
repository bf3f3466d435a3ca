"""Lost updates: two clients changed the same state, and one change is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lab.checkers.finding import Counterexample, Finding, brief, found
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.values import Values
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts pairs of a compare-and-set or increment, and counters that end too low or too high."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "cas"):
        judged += len(one.ok("cas"))
        wrongs += _same_old(one)
    for one in objects(ops, "increment"):
        judged += len(one.ok("increment"))
        wrongs += _same_new(one)
        wrongs += _wrong_sum(one)
    return found("lost updates", wrongs, judged, "answered update")


def _same_old(one: Object) -> Iterator[Counterexample]:
    """A value that was written once was replaced twice."""
    values = Values(one)
    replaced: dict[Any, ClientOp] = {}
    for op in one.ok("cas"):
        old, new = op.argument
        if op.result is False or old == new or len(values.writers.get(old, ())) > 1:
            continue
        if old in replaced:
            text = f"both replaced {brief(old)}, which was there once"
            yield Counterexample(text, (replaced[old], op), (1,))
        replaced.setdefault(old, op)


def _same_new(one: Object) -> Iterator[Counterexample]:
    """Two increments answered with the same number, where all go up."""
    if any(op.argument <= 0 for op in one.possible("increment")):
        return
    answered: dict[Any, ClientOp] = {}
    for op in one.ok("increment"):
        if op.result is not None and op.result in answered:
            text = f"both made it {brief(op.result)}"
            yield Counterexample(text, (answered[op.result], op), (1,))
        answered.setdefault(op.result, op)


def _wrong_sum(one: Object) -> Iterator[Counterexample]:
    """The final read is not what the acknowledged increments add up to."""
    final = one.final_read
    if final is None:
        return
    sure, maybe = [], []
    for op in one.possible("increment"):
        if op.end_s < final.invoked_s:
            sure.append(op)
        elif op.invoked_s <= final.returned_s:
            maybe.append(op)
    total = sum(op.argument for op in sure)
    low = total + sum(min(0, op.argument) for op in maybe)
    high = total + sum(max(0, op.argument) for op in maybe)
    if not low <= final.result <= high:
        expected = f"{low}" if low == high else f"{low} to {high}"
        text = f"{len(sure)} increments make {expected}, and the final read says {final.result}"
        yield Counterexample(text, (*sure[-2:], final), (len(sure[-2:]),))


LOST_UPDATES = Truth(
    "lost updates",
    "two clients changed the same state and one change is gone, or counted twice",
    frozenset({"cas", "increment"}),
    check,
)
