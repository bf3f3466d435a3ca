"""List-append transactions: what each one read and appended, and the order of each list's versions.

A transaction is a client operation `txn`; its argument and its result are steps, `("append", key,
value)` and `("read", key, list)`. Every appended value is appended once, so a read says exactly
which appends came before it, and in which order (Kingsbury & Alvaro, "Elle", VLDB 2020).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lab.history import ClientOp

FUNCTION = "txn"
APPEND, READ = "append", "read"

Item = tuple[str, Any]
"""(key, value): one append, whoever made it."""


class Read(NamedTuple):
    """One read of a committed transaction. `first` when the transaction had not touched it yet."""

    transaction: int
    key: str
    values: tuple[Any, ...]
    first: bool


class NotUniqueError(Exception):
    """A value was appended to a list twice, so that reads say nothing certain."""


@dataclass(slots=True)
class Transactions:
    """The transactions of a history, by number, in the order they were invoked.

    `writers` say who appended an item; `finals` which item of a list was a transaction's last;
    `orders` are the versions of each list as far as any read has shown them; `seen` are those
    without an answer of which something was read, so they did happen.
    """

    ops: Sequence[ClientOp]
    writers: dict[Item, int] = field(default_factory=dict)
    finals: dict[tuple[int, str], Any] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    orders: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, ops: Sequence[ClientOp]) -> Transactions:
        """Read a history.

        Raises:
            NotUniqueError: an appended value is not unique.
        """
        chosen = [op for op in ops if op.function == FUNCTION]
        read = cls(sorted(chosen, key=lambda op: op.invoked_s))
        for number, op in enumerate(read.ops):
            read._appends(number, op)
            if op.outcome == "ok":
                read.reads += _reads(number, op.result)
        read.orders = _orders(read.reads)
        shown = ((key, value) for key, order in read.orders.items() for value in order)
        writers = {read.writers[item] for item in shown if item in read.writers}
        read.seen = {number for number in writers if read.ops[number].outcome == "info"}
        return read

    def committed(self, number: int) -> bool:
        """Answered so, or unanswered and seen by another."""
        return self.ops[number].outcome == "ok" or number in self.seen

    def appended(self, number: int) -> Iterator[Item]:
        """What a transaction appended, in order."""
        for kind, key, value in self.ops[number].argument:
            if kind == APPEND:
                yield key, value

    def _appends(self, number: int, op: ClientOp) -> None:
        for kind, key, value in op.argument:
            if kind != APPEND:
                continue
            if (key, value) in self.writers:
                raise NotUniqueError(f"{value} was appended to {key} twice")
            self.writers[key, value] = number
            self.finals[number, key] = value


def _reads(number: int, steps: Sequence[tuple[str, str, Any]]) -> Iterator[Read]:
    touched = set()
    for kind, key, value in steps:
        if kind == READ:
            yield Read(number, key, tuple(value or ()), key not in touched)
        touched.add(key)


def _orders(reads: Sequence[Read]) -> Mapping[str, tuple[Any, ...]]:
    """The longest read of each list; of those that disagree the one most others agree with."""
    by_key: dict[str, Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for read in reads:
        by_key[read.key][read.values] += 1
    return {
        key: max(counts, key=lambda values: (len(values), counts[values]))
        for key, counts in by_key.items()
    }
