"""Linearizability: does the object behave as if every operation took effect at one moment?

Objects are judged one by one, which is enough: a history is linearizable when its part on each
object is (Herlihy & Wing 1990, theorem 1; Horn & Kroening, "Faster linearizability checking via
P-compositionality", 2015, for the parts of one).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.checkers.finding import Counterexample, Finding, brief, found, written
from lab.checkers.linear.models import MODELS, REFUSED, Model, model_for
from lab.checkers.linear.search import LIMITS, GaveUpError, Limits, Outcome, Search
from lab.checkers.linear.smallest import Smallest, smallest
from lab.history import ClientOp

__all__ = [
    "LIMITS",
    "MODELS",
    "NAME",
    "REFUSED",
    "GaveUpError",
    "Limits",
    "Model",
    "Outcome",
    "Search",
    "Smallest",
    "by_object",
    "linearizable",
    "model_for",
    "smallest",
]

NAME = "not linearizable"


def linearizable(ops: Sequence[ClientOp], limits: Limits = LIMITS) -> Finding:
    """How many objects are not linearizable.

    Args:
        ops: the operations of one design; those that failed say nothing and are left out.
        limits: when to give up on one object. One that was given up makes the finding unknown,
            unless another is wrong for certain.
    """
    wrongs, reasons = [], []
    parts = by_object(ops)
    for key, part in parts.items():
        model = model_for(part)
        if model is None:
            functions = ", ".join(sorted({op.function for op in part}))
            reasons.append(f"no model knows {functions}")
            continue
        try:
            if not Search(part, model).run(limits).linearizable:
                wrongs.append(_counterexample(key, part, model))
        except GaveUpError as error:
            reasons.append(f"{key or model.name}: {error}")
    if reasons and not wrongs:
        return Finding(NAME, None, len(parts), reason="; ".join(dict.fromkeys(reasons)))
    return found(NAME, wrongs, len(parts), "object")


def by_object(ops: Sequence[ClientOp]) -> Mapping[str, list[ClientOp]]:
    """The operations that may have taken effect, by object, in the order they were invoked."""
    parts: dict[str, list[ClientOp]] = {}
    for op in sorted(ops, key=lambda op: op.invoked_s):
        if op.outcome != "fail":
            parts.setdefault(op.key, []).append(op)
    return parts


def _counterexample(key: str, ops: Sequence[ClientOp], model: Model) -> Counterexample:
    try:
        small = smallest(ops, model)
    except GaveUpError:
        return Counterexample(f"{key or model.name}: no order explains all operations", ())
    text = f"`{written(small.wrong)}` of process {small.wrong.process} fits in no order"
    if small.states:
        could = " or ".join(brief(state) for state in small.states[:4])
        text += f": {key or f'the {model.name}'} could only be {could} then"
    return Counterexample(text, small.ops, (small.ops.index(small.wrong),))
