"""Lost writes: acknowledged, and not there at the final read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.checkers.finding import Counterexample, Finding, brief, found
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.items import Queue
from lab.checkers.truth.values import Values
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts acknowledged writes; those without an answer may be there or not."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "write", "cas", "add"):
        final = one.final_read
        if final is not None:
            judged += len(one.ok("write", "cas", "add"))
            wrongs += _of_set(one, final) if one.has("add") else _of_register(one, final)
    for one in objects(ops, "enqueue"):
        queue = Queue(one)
        if queue.emptied is not None:
            judged += len(one.ok("enqueue"))
            wrongs += [_gone(op, queue.emptied) for op in queue.lost()]
    return found("lost writes", wrongs, judged, "acknowledged write with a final read after it")


def _of_set(one: Object, final: ClientOp) -> Iterator[Counterexample]:
    there = {*final.result, *(op.argument for op in one.possible("remove"))}
    for op in one.ok("add"):
        if op.returned_s < final.invoked_s and op.argument not in there:
            yield _gone(op, final)


def _of_register(one: Object, final: ClientOp) -> Iterator[Counterexample]:
    for op in Values(one).overwriters(final.result, final.invoked_s):
        yield _gone(op, final)


def _gone(op: ClientOp, final: ClientOp) -> Counterexample:
    what = brief(op.argument[1] if op.function == "cas" else op.argument)
    where = f" in {op.key}" if op.key else ""
    text = f"{what}{where} was acknowledged and is not there in the final read"
    return Counterexample(text, (op, final), (1,))


LOST_WRITES = Truth(
    "lost writes",
    "acknowledged, and not there at the final read",
    frozenset({"write", "cas", "add", "enqueue"}),
    check,
)
