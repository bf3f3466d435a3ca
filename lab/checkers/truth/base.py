"""What a checker of truth is: a name, what it needs, and a pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.checkers.finding import Finding, Unit
from lab.history import ClientOp


@dataclass(frozen=True, slots=True)
class Truth:
    """One checker.

    `needs` are functions of which the history must have one, otherwise there is nothing to say.
    `check` takes the operations of one design in any order.
    """

    name: str
    summary: str
    needs: frozenset[str]
    check: Callable[[Sequence[ClientOp]], Finding]
    unit: Unit = "count"

    def applies(self, ops: Sequence[ClientOp]) -> bool:
        """Whether the history has what it needs."""
        return any(op.function in self.needs for op in ops)


@dataclass(frozen=True, slots=True)
class Object:
    """The operations on one object, in the order they were invoked."""

    key: str
    ops: tuple[ClientOp, ...]

    def ok(self, *functions: str) -> list[ClientOp]:
        """Those that were answered."""
        return [op for op in self.ops if op.outcome == "ok" and op.function in functions]

    def possible(self, *functions: str) -> list[ClientOp]:
        """Those that may have taken effect."""
        return [op for op in self.ops if op.outcome != "fail" and op.function in functions]

    def has(self, *functions: str) -> bool:
        """Whether any of these was tried."""
        return any(op.function in functions for op in self.ops)

    @property
    def final_read(self) -> ClientOp | None:
        """The answered read that was invoked last."""
        return max(self.ok("read"), key=lambda op: op.invoked_s, default=None)


def objects(ops: Sequence[ClientOp], *functions: str) -> Iterator[Object]:
    """The objects on which any of these functions was tried.

    A text may be written over and is no register: it counts only where `append` is asked for.
    """
    parts: dict[str, list[ClientOp]] = {}
    for op in sorted(ops, key=lambda op: op.invoked_s):
        parts.setdefault(op.key, []).append(op)
    for key, part in parts.items():
        one = Object(key, tuple(part))
        is_text = one.has("append") and "append" not in functions
        if one.has(*functions) and not is_text:
            yield one
