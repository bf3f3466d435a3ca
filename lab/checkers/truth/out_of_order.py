"""Out of order: an item comes out of a queue after one that went in certainly later."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from lab.checkers.finding import Arrow, Counterexample, Finding, brief, found
from lab.checkers.truth.base import Truth, objects
from lab.checkers.truth.items import Queue
from lab.history import ClientOp

Way = tuple[ClientOp, ClientOp]
"""(enqueue, dequeue) of one item."""


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts the items that were overtaken."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "enqueue"):
        queue = Queue(one)
        first: dict[object, ClientOp] = {}
        for item, op in sorted(queue.taken, key=lambda pair: pair[1].returned_s):
            if op.function == "dequeue":
                first.setdefault(item, op)
        ways = [(queue.put[item], op) for item, op in first.items() if item in queue.put]
        judged += len(ways)
        wrongs += _overtaken(sorted(ways, key=lambda way: way[0].invoked_s))
    return found("out of order", wrongs, judged, "item that went in and came out")


def _overtaken(ways: Sequence[Way]) -> Iterator[Counterexample]:
    """For each item the earliest to come out of those that went in after it."""
    invoked_s = [put.invoked_s for put, _ in ways]
    earliest: list[Way | None] = [None]
    for way in reversed(ways):
        best = earliest[-1]
        earliest.append(way if best is None or way[1].returned_s < best[1].returned_s else best)
    earliest.reverse()
    for put, taken in ways:
        later = earliest[bisect_right(invoked_s, put.end_s)] if put.end_s < math.inf else None
        if later and later[1].returned_s < taken.invoked_s:
            second, first = brief(later[0].argument), brief(put.argument)
            text = f"{second} went in after {first} and came out before it"
            arrows = (Arrow(0, 1, "in"), Arrow(2, 3, "out"))
            yield Counterexample(text, (put, *later, taken), (3,), arrows)


OUT_OF_ORDER = Truth(
    "out of order",
    "an item comes out of a queue after one that went in later",
    frozenset({"enqueue"}),
    check,
)
