"""Sentences with measured numbers in braces: `{60 * average(app_db_hold_seconds) during fault}`.

    sentence    := (text | "{" expression "}")*
    expression  := factor (("*" | "/") factor)* [window]
    factor      := NUMBER | measure                        measure and window as in `lab.claims`

One window holds for the whole expression. Parsing only; what the numbers are is measured later.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lab.claims import Measure, Window, parse_measure

Factor = Measure | float
Sign = Literal["*", "/"]

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_TAIL = re.compile(r"(?P<product>.*?)(?P<window>\s+(?:during\s+\S+|from\s+\S+\s+to\s+\S+))?\s*")
_ANY_MEASURE = "ok"
"""Stands before a window, so that the grammar of claims reads it."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A product of measures and numbers over one window; the first sign is always `*`."""

    text: str
    terms: tuple[tuple[Sign, Factor], ...]
    window: Window

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures among its factors."""
        return tuple(factor for _, factor in self.terms if isinstance(factor, Measure))

    def __str__(self) -> str:
        return "{" + self.text + "}"


def parse_sentence(text: str) -> tuple[str | Expression, ...]:
    """Split a sentence into its words and its expressions.

    Raises:
        ValueError: a brace has no partner, or what is between braces is not an expression.
    """
    return tuple(_pieces(text))


def _pieces(text: str) -> Iterator[str | Expression]:
    start = 0
    while (opening := text.find("{", start)) >= 0:
        closing = _closing(text, opening)
        if words := text[start:opening]:
            yield _words(words)
        yield parse_expression(text[opening + 1 : closing])
        start = closing + 1
    if words := text[start:]:
        yield _words(words)


def parse_expression(text: str) -> Expression:
    """Read what stands between braces.

    Raises:
        ValueError: it is not a product of measures and numbers with an optional window.
    """
    text = " ".join(text.split())
    match = _TAIL.fullmatch(text)
    if not match or not match["product"]:
        raise ValueError(
            "nothing stands between the braces: write a measure, like {p50 during fault}"
        )
    _, window = parse_measure(f"{_ANY_MEASURE}{match['window'] or ''}")
    terms = []
    for sign, factor, own_window in _terms(match["product"]):
        terms.append((sign, factor))
        # `recovery of fault` says itself which phase it counts from.
        window = own_window if window == Window() else window
    expression = Expression(text, tuple(terms), window)
    if not expression.measures:
        raise ValueError(f"`{text}` measures nothing; write the number without braces")
    return expression


def _terms(product: str) -> Iterator[tuple[Sign, Factor, Window]]:
    sign: Sign = "*"
    for piece in _outside_brackets(product):
        if piece in ("*", "/"):
            sign = "*" if piece == "*" else "/"
        else:
            yield sign, *_factor(piece.strip())


def _factor(text: str) -> tuple[Factor, Window]:
    if not text:
        raise ValueError("a factor is missing beside `*` or `/`")
    if _NUMBER.fullmatch(text):
        return float(text), Window()
    measure, window = parse_measure(text)
    if window != Window() and measure.name != "recovery":
        raise ValueError(f"the window stands once, after the last factor, not after `{measure}`")
    return measure, window


def _outside_brackets(product: str) -> Iterator[str]:
    """Factors and signs in turn; what stands in brackets or quotes is never split."""
    start = 0
    for position in _plain_positions(product):
        if product[position] in "*/":
            yield product[start:position]
            yield product[position]
            start = position + 1
    yield product[start:]


def _plain_positions(text: str) -> Iterator[int]:
    depth, quoted = 0, False
    for position, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character in "({":
            depth += 1
        elif character in ")}":
            depth -= 1
        elif depth == 0:
            yield position


def _closing(text: str, opening: int) -> int:
    """The brace that closes the one at `opening`; a metric's selector has braces of its own."""
    depth, quoted = 0, False
    for position in range(opening, len(text)):
        character = text[position]
        if character == '"' and depth > 1:
            quoted = not quoted
        elif character == "{" and not quoted:
            depth += 1
        elif character == "}" and not quoted:
            depth -= 1
            if depth == 0:
                return position
    raise ValueError("a `{` is never closed")


def _words(text: str) -> str:
    if "}" in text:
        raise ValueError("a `}` closes nothing")
    return text
