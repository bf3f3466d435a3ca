"""Alarms: waking the event loop on time."""

import asyncio
import sys
import time

import pytest

from lab.alarm import LoopTimer, TimerFile

KINDS = [LoopTimer, *([TimerFile] if sys.platform == "linux" else [])]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_alarm_set_again_by_whom_it_rings_for_is_never_early_in_the_end(kind) -> None:
    """It reaches the time it was set to, and soon after, not before."""
    rung = asyncio.Event()
    at_s = time.monotonic() + 0.05

    def ring() -> None:
        if time.monotonic() >= at_s:
            rung.set()
        else:
            alarm.set(at_s)

    alarm = kind(asyncio.get_running_loop(), ring)
    alarm.set(at_s)
    async with asyncio.timeout(5):
        await rung.wait()
    alarm.close()
    assert 0 <= time.monotonic() - at_s < 0.5


@pytest.mark.parametrize("kind", KINDS)
async def test_a_later_setting_replaces_an_earlier_one_and_a_closed_alarm_is_silent(kind) -> None:
    """Of three settings only the last rings, once; after `close` nothing does."""
    rings: list[float] = []
    alarm = kind(asyncio.get_running_loop(), lambda: rings.append(time.monotonic()))
    started_s = time.monotonic()
    for in_s in (0.01, 0.02, 0.08):
        alarm.set(started_s + in_s)
    await asyncio.sleep(0.2)
    assert len(rings) == 1
    assert rings[0] - started_s > 0.075
    alarm.set(time.monotonic() + 0.02)
    alarm.close()
    await asyncio.sleep(0.06)
    assert len(rings) == 1
