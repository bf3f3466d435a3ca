"""Settings from the environment, with their units written: `TIMEOUT=500ms`, `QUEUE_CAP=40`.

`none` is a value too ("no timeout"), so that a design says what it does without.
"""

from __future__ import annotations

import re
from os import environ

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")


def seconds(name: str) -> float | None:
    """The duration in an environment variable, in seconds; None for `none`.

    Raises:
        ValueError: it is not set to a duration.
    """
    text = environ.get(name, "")
    if text == "none":
        return None
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{name}={text!r} is not a duration: write 500ms, 2s or none")
    return float(match[1]) * (0.001 if match[2] == "ms" else 1)


def count(name: str) -> int | None:
    """The whole number in an environment variable; None for `none`.

    Raises:
        ValueError: it is not set to a number.
    """
    text = environ.get(name, "")
    if text == "none":
        return None
    if not text.isdecimal():
        raise ValueError(f"{name}={text!r} is not a number: write 40 or none")
    return int(text)
