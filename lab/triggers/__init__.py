"""Waiting for conditions while a run goes on: events of services, stages of faults, metrics.

    Watcher.wait(condition, design, from, until) ──▶ Seen, or NeverCameError with the reason
       ├─ events            a request to each service that waits for one       a few ms late
       ├─ metrics           what services say of themselves now                every 200 ms
       └─ stages, phases    what the run itself knows                          at once

One watcher serves a whole run; what is true in one design says nothing of another.
"""

from __future__ import annotations

from lab.triggers.seen import NeverCameError, Seen
from lab.triggers.watcher import Watcher

__all__ = ["NeverCameError", "Seen", "Watcher"]
