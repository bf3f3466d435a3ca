"""What a checker of truth finds, with the few operations that prove it.

Three answers, never two: a finding holds, is violated, or is unknown (too little was recorded, or
the search took too long), and then it has no value.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lab.history import ClientOp

Unit = Literal["count", "s"]


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one operation of a counterexample to another (by their places in it), with a word."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Operations that contradict each other, the fewest that still do.

    `text` says in a sentence what is wrong, `wrong` are the places of the operations that cannot be
    right, `arrows` say what had to come before what.
    """

    text: str
    ops: tuple[ClientOp, ...]
    wrong: tuple[int, ...] = ()
    arrows: tuple[Arrow, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one checker says of one history.

    `value` is how many (or, for `s`, how many seconds at worst); None is unknown, and `reason` says
    why. `judged` is how many operations or objects it looked at: of none, nothing is known.
    """

    name: str
    value: float | None
    judged: int
    unit: Unit = "count"
    counterexamples: tuple[Counterexample, ...] = ()
    reason: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether nothing was found; None when unknown."""
        return None if self.value is None else self.value == 0


SHOWN = 3
"""Counterexamples a finding carries at most: one explains, a hundred hide it."""


def found(
    name: str, wrongs: Sequence[Counterexample], judged: int, missing: str = "operation"
) -> Finding:
    """A finding that counts; unknown where there was nothing to judge."""
    if not judged:
        return Finding(name, None, 0, reason=f"no {missing} to judge")
    return Finding(name, len(wrongs), judged, counterexamples=tuple(wrongs[:SHOWN]))


def written(op: ClientOp) -> str:
    """An operation in the notation of the field: `write x 1`, `read x → 1`, `cas x 1→2 → no`."""
    words = [op.function, op.key]
    if op.function == "txn":
        words.append(_transaction(op))
    elif op.argument is not None:
        words.append(brief(op.argument))
    text = " ".join(word for word in words if word)
    if op.outcome == "info":
        return f"{text} → ?"
    if op.outcome == "fail":
        return f"{text} → failed"
    if op.function == "txn" or (op.result is None and op.argument is not None):
        return text
    return f"{text} → {brief(op.result)}"


def brief(value: Any, longest: int = 24) -> str:
    """A value in few characters; of a long one the end, where histories differ."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        text = "[" + " ".join(brief(item) for item in value) + "]"
    else:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= longest else "…" + text[-longest + 1 :]


def _transaction(op: ClientOp) -> str:
    steps = op.result if op.result is not None else op.argument
    return ", ".join(
        f"append {key} {brief(value)}" if kind == "append" else f"read {key} → {brief(value)}"
        for kind, key, value in steps
    )
