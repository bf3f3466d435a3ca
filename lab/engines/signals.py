"""What the kernel says of a process and its signals (`/proc/PID/status`, proc(5))."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from lab.engines.abilities import Handling


def handling(status: str, word: str) -> Handling:
    """From the text of a process's `status`: the masks are in hexadecimal, signal 1 is bit 0.

    A signal that is blocked and taken with `sigwait`, as tini and other first processes do, counts
    as caught.
    """
    fields: Mapping[str, str] = dict(
        line.split(":", 1) for line in status.splitlines() if ":" in line
    )
    bit = 1 << (signal.Signals[f"SIG{word}"] - 1)
    try:
        masks = {name: int(fields[name], 16) for name in ("SigPnd", "ShdPnd", "SigBlk", "SigCgt")}
    except (KeyError, ValueError):
        return "unknown"
    if (masks["SigPnd"] | masks["ShdPnd"]) & bit:
        return "pending"
    return "caught" if (masks["SigCgt"] | masks["SigBlk"]) & bit else "not caught"
