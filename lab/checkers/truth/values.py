"""When the values of a register were there: what its writes prove, whatever their order.

Values should be unique. Of one that was written twice less is proved, never something wrong.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from lab.checkers.truth.base import Object
from lab.history import ClientOp


class Values:
    """The values of one register, by its `write` and `cas` operations."""

    def __init__(self, register: Object) -> None:
        self.writers: dict[Any, list[ClientOp]] = {}
        acked = []
        for value, op in _updates(register):
            self.writers.setdefault(value, []).append(op)
            if op.outcome == "ok":
                acked.append(op)
        self._acked = sorted(acked, key=lambda op: op.invoked_s)
        self._invoked_s = [op.invoked_s for op in self._acked]
        self._first: list[ClientOp | None] = [None]
        for op in reversed(self._acked):
            best = self._first[-1]
            self._first.append(op if best is None or op.returned_s < best.returned_s else best)
        self._first.reverse()

    def known(self, value: Any) -> bool:
        """Whether it was written, or is the start; of any other nothing can be said."""
        return value is None or value in self.writers

    def came_s(self, value: Any) -> float:
        """The earliest moment at which it can have been written; -inf when it was not."""
        writers = self.writers.get(value)
        return min(op.invoked_s for op in writers) if writers else -math.inf

    def last_s(self, value: Any, until_s: float = math.inf) -> float:
        """The latest moment at which a write of it, invoked until then, can have taken effect."""
        writers = (op for op in self.writers.get(value, ()) if op.invoked_s <= until_s)
        return max((op.end_s for op in writers), default=-math.inf)

    def older(self, value: Any, than: Any) -> bool:
        """Whether every write of it was over before the other was written at all."""
        return self.known(value) and bool(self.last_s(value) < self.came_s(than))

    def overwriter(self, value: Any, until_s: float) -> ClientOp | None:
        """The first acknowledged write that certainly came after all writes of a value."""
        after = bisect_right(self._invoked_s, self.last_s(value, until_s))
        return self._first[after] if self.known(value) else None

    def overwriters(self, value: Any, until_s: float) -> list[ClientOp]:
        """All acknowledged writes, returned before then, that certainly came after it."""
        after = bisect_right(self._invoked_s, self.last_s(value, until_s))
        later = self._acked[after:] if self.known(value) else []
        return [op for op in later if op.returned_s < until_s]


def _updates(register: Object) -> Iterator[tuple[Any, ClientOp]]:
    for op in register.possible("write", "cas"):
        if op.function == "write":
            yield op.argument, op
        elif op.result is not False:
            yield op.argument[1], op
