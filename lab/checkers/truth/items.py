"""The items of one queue: when each went in and came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from lab.checkers.truth.base import Object
from lab.history import ClientOp


class Queue:
    """What its operations say. `emptied` is the last answer that nothing was left, if any."""

    def __init__(self, queue: Object) -> None:
        self._queue = queue
        self.put = {op.argument: op for op in queue.possible("enqueue")}
        self.taken: list[tuple[Any, ClientOp]] = list(_taken(queue))
        empties = [*queue.ok("drain"), *(op for op in queue.ok("dequeue") if op.result is None)]
        self.emptied = max(empties, key=lambda op: op.invoked_s, default=None)

    def lost(self) -> list[ClientOp]:
        """Acknowledged items that never came out, although the queue was emptied afterwards.

        A dequeue without an answer may have taken one of them, so as many are forgiven.
        """
        out = {item for item, _ in self.taken}
        missing = [
            op
            for op in self._queue.ok("enqueue")
            if self.emptied and op.returned_s < self.emptied.invoked_s and op.argument not in out
        ]
        unanswered = [op for op in self._queue.possible("dequeue", "drain") if op.outcome == "info"]
        if any(op.function == "drain" for op in unanswered):
            return []
        return missing[len(unanswered) :]

    def repeated(self) -> list[tuple[Any, list[ClientOp]]]:
        """Items that came out more often than they went in."""
        went_in = Counter(op.argument for op in self._queue.possible("enqueue"))
        by_item: dict[Any, list[ClientOp]] = {}
        for item, op in self.taken:
            by_item.setdefault(item, []).append(op)
        return [(item, ops) for item, ops in by_item.items() if len(ops) > max(1, went_in[item])]


def _taken(queue: Object) -> Iterator[tuple[Any, ClientOp]]:
    for op in queue.ok("dequeue", "drain"):
        items = op.result if op.function == "drain" else (op.result,)
        for item in items:
            if item is not None:
                yield item, op
