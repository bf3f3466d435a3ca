"""The few operations that contradict each other, out of a history that is not linearizable.

Three steps, each of which only weakens what is asked, so what is left is a contradiction of the
whole history too:

1. The shortest prefix: everything up to the first return that no order can explain. What has not
   returned by then may have happened or not.
2. The shortest end of it: what returned before counts no more, and the object may be in any state
   that it was ever in.
3. One operation after the other is let go, as long as it stays a contradiction: one that only
   looks is left out, one that changes something may then have happened or not.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from lab.checkers.linear.models import Model
from lab.checkers.linear.search import GaveUpError, Limits, Search
from lab.history import ClientOp

_invoked_s = attrgetter("invoked_s")

_SECONDS = 5.0
"""How long to make a counterexample smaller; what is left then is shown."""


class Smallest(NamedTuple):
    """`ops` contradict each other; `wrong` is the first return that cannot be, in `states` only."""

    ops: tuple[ClientOp, ...]
    wrong: ClientOp
    states: tuple[Any, ...]


def smallest(ops: Sequence[ClientOp], model: Model) -> Smallest:
    """Make a history that is not linearizable small.

    Args:
        ops: operations on one object, sorted by `invoked_s`, without those that failed.
        model: what the object does; the one that the history was judged by.

    Raises:
        GaveUpError: the first step met a limit.
    """
    test = _Test(model, time.monotonic() + _SECONDS)
    wrong, prefix = _shortest_prefix(ops, test)
    search = Search(prefix, model)
    outcome = search.run()
    stuck = prefix[search.levels[outcome.reached].number]
    window = _shortest_end(prefix, search.seen_states(), test)
    kept = _let_go(window, wrong, search.seen_states(), test)
    return Smallest(tuple(kept), wrong, outcome.states if stuck == wrong else ())


class _Test(NamedTuple):
    """Asks whether operations contradict each other; what cannot be told in time does not."""

    model: Model
    until_s: float

    def contradict(
        self,
        ops: Sequence[ClientOp],
        roots: Sequence[Hashable] | None = None,
        optional: Collection[int] = (),
    ) -> bool:
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            return False
        search = Search(ops, self.model, optional)
        try:
            return not search.run(Limits(seconds=left_s), roots=roots).linearizable
        except GaveUpError:
            return False


def _shortest_prefix(ops: Sequence[ClientOp], test: _Test) -> tuple[ClientOp, list[ClientOp]]:
    """The first return that cannot be, and what had been invoked by then, in the same order."""
    returned = sorted((op for op in ops if op.outcome == "ok"), key=lambda op: op.returned_s)
    low, high = 0, len(returned) - 1
    while low < high:
        middle = (low + high) // 2
        if test.contradict(_until(ops, returned[middle].returned_s, test.model)):
            high = middle
        else:
            low = middle + 1
    return returned[high], _until(ops, returned[high].returned_s, test.model)


def _until(ops: Sequence[ClientOp], end_s: float, model: Model) -> list[ClientOp]:
    """What was known at a moment: operations under way have no answer yet."""
    known = []
    for op in ops:
        if op.invoked_s > end_s:
            break
        if op.outcome == "info" or op.returned_s <= end_s:
            known.append(op)
        elif not model.observes(op):
            known.append(op._replace(outcome="info", result=None))
    return known


def _shortest_end(
    ops: Sequence[ClientOp], states: Sequence[Hashable], test: _Test
) -> list[ClientOp]:
    """The operations of a short end that contradicts itself from any state."""
    returned = sorted(op.returned_s for op in ops if op.outcome == "ok")
    size = 1
    while size < len(returned):
        window = [op for op in ops if op.end_s >= returned[-size]]
        if test.contradict(window, states):
            return window
        size *= 2
    return list(ops)


def _let_go(
    window: Sequence[ClientOp], wrong: ClientOp, states: Sequence[Hashable], test: _Test
) -> list[ClientOp]:
    """What is left once no operation can be let go any more; in halves first, then singly."""
    kept = [op for op in window if op.outcome != "info" and op != wrong]
    maybe = [op for op in window if op.outcome == "info"]
    size = max(1, len(kept) // 2)
    while kept:
        place = 0
        while place < len(kept):
            fewer = kept[:place] + kept[place + size :]
            freed = [op for op in kept[place : place + size] if not test.model.observes(op)]
            if _still(fewer, [*maybe, *freed], wrong, states, test):
                kept, maybe = fewer, [*maybe, *freed]
            else:
                place += size
        if size == 1:
            break
        size //= 2
    return sorted([*kept, wrong], key=_invoked_s)


def _still(
    kept: Sequence[ClientOp],
    maybe: Sequence[ClientOp],
    wrong: ClientOp,
    states: Sequence[Hashable],
    test: _Test,
) -> bool:
    """Whether these contradict each other where the `maybe` ones need not have happened."""
    ops = sorted([*kept, wrong, *maybe], key=_invoked_s)
    free = {id(op) for op in maybe}
    optional = {number for number, op in enumerate(ops) if id(op) in free}
    return test.contradict(ops, states, optional)
