"""Unique ids: no two answers of `generate` are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.checkers.finding import Counterexample, Finding, brief, found
from lab.checkers.truth.base import Truth
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts answers that another operation had been given before."""
    wrongs: list[Counterexample] = []
    given: dict[Any, ClientOp] = {}
    answered = [op for op in ops if op.function == "generate" and op.outcome == "ok"]
    for op in sorted(answered, key=lambda op: op.returned_s):
        if op.result in given:
            text = f"{brief(op.result)} was given twice"
            wrongs.append(Counterexample(text, (given[op.result], op), (1,)))
        given.setdefault(op.result, op)
    return found("repeated ids", wrongs, len(answered), "id that was given")


UNIQUE_IDS = Truth(
    "repeated ids", "two operations were given the same id", frozenset({"generate"}), check
)
