"""What comes out of waiting for a condition."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """It came true: when it happened, or was first seen, in run seconds; and what was seen."""

    at_s: float
    text: str


class NeverCameError(Exception):
    """It did not come true in time; the message says what was seen instead."""
