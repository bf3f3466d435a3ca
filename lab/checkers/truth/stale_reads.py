"""Stale reads: what was read had been overwritten before the read began, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.checkers.finding import SHOWN, Arrow, Counterexample, Finding, brief
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.values import Values
from lab.history import ClientOp
from lab.units import format_duration

NAME = "stale reads"


def check(ops: Sequence[ClientOp]) -> Finding:
    """The worst staleness in seconds: from the return of the write that was missed to the read.

    Of a set without removals every acknowledged item must be read from then on.
    """
    wrongs: list[tuple[float, Counterexample]] = []
    judged = 0
    for one in objects(ops, "write", "cas", "add"):
        judged += len(one.ok("read"))
        missed = _of_set(one) if one.has("add") else _of_register(one)
        wrongs += [_told(read, write) for read, write in missed]
    if not judged:
        return Finding(NAME, None, 0, "s", reason="no read to judge")
    wrongs.sort(key=lambda wrong: -wrong[0])
    examples = tuple(example for _, example in wrongs[:SHOWN])
    return Finding(NAME, wrongs[0][0] if wrongs else 0.0, judged, "s", examples)


def _of_register(one: Object) -> Iterator[tuple[ClientOp, ClientOp]]:
    values = Values(one)
    for read in one.ok("read"):
        write = values.overwriter(read.result, read.returned_s)
        if write and write.returned_s < read.invoked_s:
            yield read, write


def _of_set(one: Object) -> Iterator[tuple[ClientOp, ClientOp]]:
    if one.has("remove"):
        return
    adds = sorted(one.ok("add"), key=lambda op: op.returned_s)
    for read in one.ok("read"):
        there = set(read.result or ())
        for add in adds:
            if add.returned_s >= read.invoked_s:
                break
            if add.argument not in there:
                yield read, add
                break


def _told(read: ClientOp, write: ClientOp) -> tuple[float, Counterexample]:
    late_s = read.invoked_s - write.returned_s
    missed = brief(write.argument[1] if write.function == "cas" else write.argument)
    late = format_duration(late_s)
    text = f"the read missed {missed}, acknowledged {late} before it began"
    return late_s, Counterexample(text, (write, read), (1,), (Arrow(0, 1, late),))


STALE_READS = Truth(
    NAME,
    "what was read had been overwritten before the read began; the longest such time",
    frozenset({"write", "cas", "add"}),
    check,
    "s",
)
