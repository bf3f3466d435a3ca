"""What a cluster may be able to *do* to the system, each a small protocol of its own.

A fault names the ones it needs; an engine that lacks one refuses the fault, with the reason.
"""

from __future__ import annotations

from lab.engines.abilities.links import (
    Answer,
    Interceptable,
    Partitionable,
    Resettable,
    Resolvable,
    Spoiling,
)
from lab.engines.abilities.resources import (
    DiskFillable,
    DiskLimits,
    DiskSpeed,
    DiskThrottleable,
    FileLimitable,
    FileLimits,
    Limits,
    MemoryLimitable,
    Room,
    Skewable,
    Throttleable,
    WallClock,
)
from lab.engines.abilities.services import (
    Armable,
    Ended,
    Executable,
    Handling,
    Killable,
    Life,
    Pausable,
    Point,
    Replaceable,
    Scrapable,
    Session,
    Signalable,
    Stoppable,
    Version,
)

__all__ = [
    "Answer",
    "Armable",
    "DiskFillable",
    "DiskLimits",
    "DiskSpeed",
    "DiskThrottleable",
    "Ended",
    "Executable",
    "FileLimitable",
    "FileLimits",
    "Handling",
    "Interceptable",
    "Killable",
    "Life",
    "Limits",
    "MemoryLimitable",
    "Partitionable",
    "Pausable",
    "Point",
    "Replaceable",
    "Resettable",
    "Resolvable",
    "Room",
    "Scrapable",
    "Session",
    "Signalable",
    "Skewable",
    "Spoiling",
    "Stoppable",
    "Throttleable",
    "Version",
    "WallClock",
]
