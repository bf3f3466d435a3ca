"""Points in a service's code: what strikes, what is told, and what they cost when nobody asks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "topologies" / "lib"))

from labkit.failpoint import EVENTS_KEPT, FailpointError, Points

LIB = Path(__file__).parents[2] / "topologies" / "lib"


async def call(points: Points, method: str, path: str, query: str = "") -> tuple[int, Any]:
    """One request to the ASGI application."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"method": method, "path": f"/_lab/{path}", "query_string": query.encode()}
    await points.asgi(scope, None, send)  # type: ignore[arg-type]
    return sent[0]["status"], json.loads(sent[1]["body"])


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    """The end of a process that arms a point and passes it."""
    program = f"from labkit.failpoint import *; from labkit.failpoint import POINTS\n{code}"
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=LIB,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def struck(points: Points, times: int) -> list[bool]:
    """Which of so many passes raise an error."""
    found = []
    for _ in range(times):
        try:
            points.failpoint_sync("line")
            found.append(False)
        except FailpointError:
            found.append(True)
    return found


async def test_nothing_happens_until_a_point_is_armed_and_after_it_is_disarmed() -> None:
    points = Points()
    await points.failpoint("line")
    assert (await call(points, "POST", "failpoints/line", "do=error"))[0] == 200
    with pytest.raises(FailpointError, match="line"):
        await points.failpoint("line")
    _, told = await call(points, "DELETE", "failpoints/line")
    assert not told["armed"]
    await points.failpoint("line")
    assert struck(points, 3) == [False] * 3


def test_the_same_seed_strikes_the_same_passes() -> None:
    def drawn(seed: int) -> list[bool]:
        points = Points()
        points.arm("line", {"do": "error", "share": "0.2", "seed": str(seed)})
        return struck(points, 2000)

    assert drawn(1) == drawn(1) != drawn(2)
    assert 320 < sum(drawn(1)) < 480  # 400 expected; five standard deviations are 89


def test_a_count_is_how_often_it_strikes() -> None:
    points = Points()
    points.arm("line", {"do": "error", "count": "2"})
    assert struck(points, 4) == [True, True, False, False]
    assert points.point("line").to_json() == {
        "armed": False, "do": None, "reached": 4, "struck": 2, "held": 0
    }  # fmt: skip


async def test_a_delay_takes_so_long() -> None:
    points = Points()
    points.arm("line", {"do": "delay", "delay_s": "0.05"})
    began_s = time.monotonic()
    await points.failpoint("line")
    points.failpoint_sync("line")
    assert time.monotonic() - began_s >= 0.1


async def test_who_is_held_goes_on_when_the_point_is_disarmed() -> None:
    points = Points()
    await call(points, "POST", "failpoints/line", "do=hold")
    tasks = [asyncio.create_task(points.failpoint("line")) for _ in range(3)]
    thread = threading.Thread(target=points.failpoint_sync, args=("line",))
    thread.start()
    async with asyncio.timeout(5):
        while points.point("line").held < 4:  # noqa: ASYNC110 - what a client can see
            await asyncio.sleep(0.005)
    assert not any(task.done() for task in tasks)
    await call(points, "DELETE", "failpoints/line")
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    thread.join(5)
    assert points.point("line").to_json()["held"] == 0


def test_dying_is_a_crash_at_that_line() -> None:
    code = "POINTS.arm('line', {'do': 'die'}); print('before', flush=True)"
    ended = in_a_process(f"{code}; failpoint_sync('line'); print('after')")
    assert (ended.returncode, ended.stdout) == (-9, "before\n")


def test_a_stopped_process_goes_on_where_it_stopped() -> None:
    code = """
import subprocess, os, time
waker = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -CONT {os.getpid()}"])
POINTS.arm("line", {"do": "stop"})
began_s = time.monotonic()
failpoint_sync("line"); failpoint_sync("line")
print(time.monotonic() - began_s > 0.2, POINTS.point("line").struck)
waker.wait()
"""
    ended = in_a_process(code)
    assert (ended.returncode, ended.stdout) == (0, "True 1\n"), ended.stderr


@pytest.mark.parametrize(
    "query",
    ["", "do=explode", "do=delay", "do=error&share=2", "do=error&count=0", "do=error&seed=x"],
)
async def test_what_makes_no_sense_is_refused(query: str) -> None:
    points = Points()
    assert (await call(points, "POST", "failpoints/line", query))[0] == 400
    assert not points.point("line").armed
    assert (await call(points, "GET", "failpoints/no-name"))[0] == 400
    assert (await call(points, "GET", "elsewhere"))[0] == 404


async def test_events_are_told_to_those_who_follow_them() -> None:
    points = Points()
    points.event("early")
    _, told = await call(points, "GET", "events", "names=early,late")
    assert told["events"] == []
    assert told["known"] == ["early"]
    points.event("late")
    points.event("other")
    await points.failpoint("early")
    _, told = await call(points, "GET", "events", f"names=early,late&life={points.life}")
    assert [(e["n"], e["name"]) for e in told["events"]] == [(1, "late"), (2, "early")]
    assert all(0 <= told["clock_s"] - event["at_s"] < 5 for event in told["events"])
    _, told = await call(points, "GET", "events", f"names=early,late&after=1&life={points.life}")
    assert [event["n"] for event in told["events"]] == [2]
    _, told = await call(points, "GET", "events", "names=early&after=99&life=another")
    assert [event["n"] for event in told["events"]] == [2]


async def test_a_request_for_events_waits_for_the_first() -> None:
    points = Points()
    waiting = asyncio.create_task(call(points, "GET", "events", "names=line&wait_s=10"))
    await asyncio.sleep(0.05)
    points.event("other")
    await asyncio.sleep(0.01)
    assert not waiting.done()
    began_s = time.monotonic()
    threading.Thread(target=points.event, args=("line",)).start()
    async with asyncio.timeout(5):
        _, told = await waiting
    assert [event["name"] for event in told["events"]] == ["line"]
    assert time.monotonic() - began_s < 1
    _, told = await call(points, "GET", "events", "names=none&wait_s=0.05")
    assert told["events"] == []


def test_events_that_nobody_fetches_do_not_grow_without_bound() -> None:
    points = Points()
    points.events(["line"], 0, "")
    for _ in range(EVENTS_KEPT + 50):
        points.event("line")
    assert len(points.events(["line"], 0, "")["events"]) == EVENTS_KEPT


def test_passing_a_point_that_nobody_armed_costs_next_to_nothing() -> None:
    """Measured 0.2 us; the floor is for a machine that is busy with other things."""
    points = Points()
    best_s = min(_timed(points, 10_000) for _ in range(5))
    assert best_s / 10_000 < 5e-6


def _timed(points: Points, times: int) -> float:
    began_s = time.perf_counter()
    for _ in range(times):
        points.event("line")
    return time.perf_counter() - began_s
