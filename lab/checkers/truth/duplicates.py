"""Duplicates: an item comes out of a queue, or stands in a set, more often than it went in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lab.checkers.finding import Counterexample, Finding, brief, found
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.items import Queue
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts items by object, each once."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "enqueue"):
        queue = Queue(one)
        judged += len(queue.taken)
        for item, taken in queue.repeated():
            shown = (*([queue.put[item]] if item in queue.put else []), *taken)
            again = tuple(range(len(shown) - len(taken) + 1, len(shown)))
            text = f"{brief(item)} came out {len(taken)} times"
            wrongs.append(Counterexample(text, shown, again))
    for one in objects(ops, "add"):
        judged += sum(len(read.result or ()) for read in one.ok("read"))
        wrongs += _in_sets(one)
    return found("duplicates", wrongs, judged, "item that came out")


def _in_sets(one: Object) -> Iterator[Counterexample]:
    told = set()
    for read in one.ok("read"):
        for item, count in Counter(read.result or ()).items():
            if count > 1 and item not in told:
                told.add(item)
                yield Counterexample(f"{brief(item)} stands {count} times in a set", (read,), (0,))


DUPLICATES = Truth(
    "duplicates",
    "an item comes out of a queue, or stands in a set, more often than it went in",
    frozenset({"enqueue", "add"}),
    check,
)
