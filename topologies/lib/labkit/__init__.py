"""What every sample service shares, so that each one reads like the lines that matter.

    app = service(Route("/work", work))

adds `/metrics`, `/healthz` and, under `/_lab/`, failpoints, and counts and times every request.
`Slots` gives a service a declared capacity; `failpoint` and `event` mark lines of its code.
"""

from labkit.app import service
from labkit.failpoint import FailpointError, event, failpoint, failpoint_sync
from labkit.settings import count, seconds
from labkit.slots import FullError, Slots, count_if_wasted

__all__ = [
    "FailpointError",
    "FullError",
    "Slots",
    "count",
    "count_if_wasted",
    "event",
    "failpoint",
    "failpoint_sync",
    "seconds",
    "service",
]
