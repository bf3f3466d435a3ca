"""What every sample service shares, so that each one reads like the lines that matter.

    app = service(Route("/work", work))

adds `/metrics`, `/healthz` and the failpoint `/_lab/fail`, and counts and times every request.
`Slots` gives a service a declared capacity.
"""

from labkit.app import service
from labkit.settings import count, seconds
from labkit.slots import FullError, Slots, count_if_wasted

__all__ = ["FullError", "Slots", "count", "count_if_wasted", "seconds", "service"]
