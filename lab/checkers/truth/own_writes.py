"""Read your writes: a process reads the state after its own last write, or a later one.

Terry et al., "Session guarantees for weakly consistent replicated data" (1994); a session is one
process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.checkers.finding import Arrow, Counterexample, Finding, brief, found
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.values import Values
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts reads of a process that show the state before its own last write."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "write", "cas", "add"):
        for write, read, missed in _after_own(one):
            judged += 1
            if missed:
                then = f"{brief(write.argument)} and then read {brief(read.result)}"
                text = f"process {read.process} wrote {then}, which is older"
                wrongs.append(Counterexample(text, (write, read), (1,), (Arrow(0, 1, "then"),)))
    return found("own writes missed", wrongs, judged, "read after a write of the same process")


def _after_own(one: Object) -> Iterator[tuple[ClientOp, ClientOp, bool]]:
    """(own write, read, whether it was missed)."""
    values, removes, is_set = Values(one), one.has("remove"), one.has("add")
    wrote: dict[int, list[ClientOp]] = {}
    for op in one.ops:
        if op.outcome != "ok":
            continue
        if op.function in ("write", "add") or (op.function == "cas" and op.result is not False):
            wrote.setdefault(op.process, []).append(op)
        elif op.function == "read" and op.process in wrote:
            own = wrote[op.process]
            if is_set:
                there = set(op.result or ())
                missing = [w for w in own if w.argument not in there and not removes]
                yield (missing or own)[-1], op, bool(missing)
            else:
                is_older = values.last_s(op.result) < own[-1].invoked_s
                yield own[-1], op, is_older and values.known(op.result)


OWN_WRITES = Truth(
    "own writes missed",
    "a process reads the state before its own last write",
    frozenset({"write", "cas", "add"}),
    check,
)
