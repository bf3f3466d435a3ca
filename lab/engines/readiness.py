"""When is an instance ready? Its healthcheck is run at once, again soon, and never after.

What Compose's own scheduler does would wait a whole interval before the first look and go on
looking while the lab measures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lab.topology import Healthcheck

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


def limit_s(check: Healthcheck | None, patience_s: float) -> float:
    """How long an instance may take: as its healthcheck's own numbers allow, at least `patience_s`.

    Without a healthcheck nobody said anything; three times the patience is ample.
    """
    if check is None:
        return 3 * patience_s
    allowed_s = check.start_period_s + check.retries * check.interval_s + check.timeout_s
    return max(patience_s, allowed_s)


async def until(passes: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes, less and less often."""
    pause_s = _FIRST_PAUSE_S
    while not await passes():
        await asyncio.sleep(pause_s)
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)
