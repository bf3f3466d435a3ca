"""What one object does when its operations come one after the other: models for linearizability.

A model is a start and a step. `step` answers with the state after an operation, or `REFUSED` where
the object could not have answered that in that state. An operation with outcome `info` has no
known answer; whatever it was is allowed. States are hashable and never changed.

    register   read → value · write value · cas (old, new) → whether it was done
    text       read → text · append text · write text          a value that only grows
    counter    read → number · increment by [→ the new number]
    set        add item · remove item · read → all items
    queue      enqueue item · dequeue → item, or None when empty      first in, first out
    mutex      acquire · release                                by one process at a time
"""

from __future__ import annotations

import math
from collections import Counter as Counts
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, Final, Protocol

from lab.history import ClientOp


class _Refused:
    def __repr__(self) -> str:
        return "refused"


REFUSED: Final = _Refused()
"""The step that cannot be."""


class Model(Protocol):
    """One kind of object; an instance serves one check, and may number what it sees.

    `functions` are the operations it knows, `by_process` says whether it matters who asks, `grows`
    whether `leads` ever says no.
    """

    name: ClassVar[str]
    functions: ClassVar[frozenset[str]]
    by_process: ClassVar[bool]
    grows: ClassVar[bool]
    initial: Hashable

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """The state after the operation, or `REFUSED`."""

    def learn(self, certain: Sequence[ClientOp], maybe: Sequence[ClientOp]) -> None:
        """See all operations of a search before it begins; `maybe` ones need not have happened."""

    def observes(self, op: ClientOp) -> bool:
        """Whether the operation, answered as it was, leaves every state as it is."""

    def resets(self, op: ClientOp) -> bool:
        """Whether the operation may undo what the object has come to, so that `leads` is void."""

    def leads(self, state: Any, op: ClientOp) -> bool:
        """Whether an answer may come about later, from this state and without resets.

        Only a short cut for the search: True is always right.
        """

    def describe(self, state: Any) -> Any:
        """The state as a value of the history."""


class _Plain:
    """What most models have in common: their states are values of the history."""

    by_process: ClassVar[bool] = False
    grows: ClassVar[bool] = False

    def learn(self, certain: Sequence[ClientOp], maybe: Sequence[ClientOp]) -> None:
        """Nothing to be learnt."""

    def observes(self, op: ClientOp) -> bool:
        """Reads do."""
        return op.function == "read"

    def resets(self, op: ClientOp) -> bool:
        """Every change does, as far as nothing better is known."""
        return not self.observes(op)

    def leads(self, state: Any, op: ClientOp) -> bool:
        """Anything may."""
        del state, op
        return True

    def describe(self, state: Any) -> Any:
        """The state itself."""
        return state


class Register(_Plain):
    """One value; `cas` (compare-and-set) writes only over the value it expects."""

    name: ClassVar[str] = "register"
    functions: ClassVar[frozenset[str]] = frozenset({"read", "write", "cas"})

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """Of an unanswered `cas` either branch may be true; the state says which."""
        if op.function == "write":
            return op.argument  # type: ignore[no-any-return]
        unknown = op.outcome == "info"
        if op.function == "read":
            return state if unknown or state == op.result else REFUSED
        old, new = op.argument
        after = new if state == old else state
        return after if unknown or op.result == (state == old) else REFUSED

    def observes(self, op: ClientOp) -> bool:
        """Reads do, and a `cas` that was not done."""
        return op.function == "read" or (op.function == "cas" and op.result is False)


class Text(_Plain):
    """A text that is appended to, as in key-value stores with `append`."""

    name: ClassVar[str] = "text"
    functions: ClassVar[frozenset[str]] = frozenset({"read", "write", "append"})
    grows: ClassVar[bool] = True
    initial: Hashable = ""

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """A read sees everything appended so far, in order."""
        if op.function == "append":
            return state + op.argument  # type: ignore[no-any-return]
        if op.function == "write":
            return op.argument  # type: ignore[no-any-return]
        return state if op.outcome == "info" or state == op.result else REFUSED

    def resets(self, op: ClientOp) -> bool:
        """A write does; what is appended stays."""
        return op.function == "write"

    def leads(self, state: Any, op: ClientOp) -> bool:
        """A read begins with all that was there before."""
        return op.function != "read" or op.result.startswith(state)


class Counter(_Plain):
    """A number that is added to."""

    name: ClassVar[str] = "counter"
    functions: ClassVar[frozenset[str]] = frozenset({"read", "increment"})
    initial: Hashable = 0

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """An increment may answer with the new number; one that answers None is not held to it."""
        after = state + op.argument if op.function == "increment" else state
        silent = op.outcome == "info" or (op.function == "increment" and op.result is None)
        return after if silent or op.result == after else REFUSED


class Set(_Plain):
    """Items without order. Its state is a number, one bit an item, so a copy is cheap."""

    name: ClassVar[str] = "set"
    functions: ClassVar[frozenset[str]] = frozenset({"read", "add", "remove"})
    grows: ClassVar[bool] = True
    initial: Hashable = 0

    def __init__(self) -> None:
        self._bits: dict[Any, int] = {}
        self._sums: dict[Any, int] = {}

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """A read sees exactly what was added and not removed."""
        if op.function == "add":
            return state | self._bit(op.argument)  # type: ignore[no-any-return]
        if op.function == "remove":
            return state & ~self._bit(op.argument)  # type: ignore[no-any-return]
        if op.outcome == "info" or state == self._all(op.result):
            return state  # type: ignore[no-any-return]
        return REFUSED

    def resets(self, op: ClientOp) -> bool:
        """What was added stays until it is removed."""
        return op.function == "remove"

    def leads(self, state: Any, op: ClientOp) -> bool:
        """A read holds all that was there before."""
        return op.function != "read" or not state & ~self._all(op.result)

    def describe(self, state: Any) -> Any:
        """Its items, in the order in which they were first seen."""
        return tuple(item for item, bit in self._bits.items() if state & bit)

    def _bit(self, item: Any) -> int:
        return self._bits.setdefault(item, 1 << len(self._bits))

    def _all(self, items: Iterable[Any]) -> int:
        """The state that holds exactly these; a read is asked for it many times."""
        known = self._sums.get(items)
        if known is None:
            known = self._sums[items] = sum({self._bit(item) for item in items})
        return known


class Queue(_Plain):
    """First in, first out."""

    name: ClassVar[str] = "queue"
    functions: ClassVar[frozenset[str]] = frozenset({"enqueue", "dequeue"})
    initial: Hashable = ()

    def __init__(self) -> None:
        self._out_s: dict[Any, tuple[float, float]] = {}
        self._single: set[Any] = set()
        self._never_s = -math.inf

    def learn(self, certain: Sequence[ClientOp], maybe: Sequence[ClientOp]) -> None:
        """When each item came out, so that a wrong order is seen when an item goes in.

        Without it the search would try all orders of concurrent enqueues until, much later, one
        comes out. An item that never came out stands in the way of all behind it for ever.
        """
        self._out_s = {}
        for op in certain:
            if op.function == "dequeue":
                twice = op.result in self._out_s
                times = (-math.inf, math.inf) if twice else (op.invoked_s, op.returned_s)
                self._out_s[op.result] = times
        items = Counts(op.argument for op in (*certain, *maybe) if op.function == "enqueue")
        self._single = {item for item, count in items.items() if count == 1}
        lost = any(op.function == "dequeue" for op in maybe)
        self._never_s = -math.inf if lost else math.inf

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """A dequeue takes the oldest; None says that there was none."""
        if op.function == "enqueue":
            return REFUSED if self._too_late(state, op.argument) else (*state, op.argument)
        head = state[0] if state else None
        return state[1:] if op.outcome == "info" or op.result == head else REFUSED

    def _too_late(self, state: tuple[Any, ...], item: Any) -> bool:
        """Whether the item came out before one that is in the queue already was asked for."""
        if item not in self._single or item not in self._out_s or item in state:
            return False
        came_s, never = self._out_s[item][1], (self._never_s, math.inf)
        return any(self._out_s.get(other, never)[0] > came_s for other in state)

    def observes(self, op: ClientOp) -> bool:
        """A dequeue of the empty queue does."""
        return op.function == "dequeue" and op.outcome == "ok" and op.result is None


class Mutex(_Plain):
    """A lock; its state is the process that holds it."""

    name: ClassVar[str] = "mutex"
    functions: ClassVar[frozenset[str]] = frozenset({"acquire", "release"})
    by_process: ClassVar[bool] = True
    initial: Hashable = None

    def step(self, state: Any, op: ClientOp) -> Hashable:
        """Only a free lock can be taken, and only its holder lets it go."""
        if op.function == "acquire":
            return op.process if state is None else REFUSED
        return None if state == op.process else REFUSED


MODELS: Final[tuple[type[Register | Text | Counter | Set | Queue | Mutex], ...]] = (
    *(Register, Text, Counter, Set, Queue, Mutex),
)
"""Every model; where several fit (reads alone), the first is taken."""


def model_for(ops: Iterable[ClientOp]) -> Model | None:
    """A model that knows all these operations, None where none does."""
    functions = {op.function for op in ops}
    return next((kind() for kind in MODELS if functions <= kind.functions), None)
