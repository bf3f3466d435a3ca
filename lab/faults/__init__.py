"""The fault kinds. A new one is a file in this folder and a line in `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.faults.app_error import AppError
from lab.faults.base import Fault, Observation
from lab.faults.blackhole import Blackhole
from lab.faults.injection import Injection
from lab.faults.kill import Kill
from lab.faults.latency import Latency
from lab.faults.partition import Partition
from lab.faults.pause import Pause
from lab.faults.refuse import Refuse
from lab.faults.reset import Reset

KINDS: Final[Mapping[str, type[Fault]]] = {
    fault.kind: fault
    for fault in (AppError, Blackhole, Kill, Latency, Partition, Pause, Refuse, Reset)
}
"""Every fault kind by its YAML word."""

__all__ = ["KINDS", "Fault", "Injection", "Observation"]
