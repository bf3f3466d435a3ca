"""The `why` sentences of designs, with their numbers measured and put in."""

from __future__ import annotations

import math

from lab.checkers.facts import Facts
from lab.checkers.measures import measure, written
from lab.claims import Measure
from lab.sentences import Expression, parse_sentence
from lab.units import format_count

UNMEASURED = "?"


def explain(facts: Facts) -> dict[str, str]:
    """The `why` of every design that has one."""
    designs = facts.experiment.designs
    return {name: say(design.why, name, facts) for name, design in designs.items() if design.why}


def say(text: str, design: str, facts: Facts) -> str:
    """A sentence about one design; a number that could not be measured is a question mark."""
    return "".join(
        piece if isinstance(piece, str) else _number(piece, design, facts)
        for piece in parse_sentence(text)
    )


def _number(expression: Expression, design: str, facts: Facts) -> str:
    """A measure alone with its unit; a product or ratio, as Little's rate x time, without one."""
    product = 1.0
    for sign, factor in expression.terms:
        if isinstance(factor, Measure):
            value = measure(factor, expression.window, design, facts).value
            if len(expression.terms) == 1:
                return written(value, factor)
        else:
            value = factor
        if value is None or (sign == "/" and value == 0):
            return UNMEASURED
        product = product / value if sign == "/" else product * value
    return format_count(product) if math.isfinite(product) else UNMEASURED
