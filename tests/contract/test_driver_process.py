"""The load driver as a process: its orders, its reports, its metrics and its ends."""

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.loopback import (
    BUSY_HOST_S,
    Server,
    driving,
    ends,
    free_port,
    retry,
    serving,
    spec,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[Server]:
    with serving() as running:
        yield running


async def test_a_driver_that_was_held_up_sends_late_and_says_so(server: Server) -> None:
    """Stopped for 0.4 s, it loses no operation, and its lag shows the stop."""
    async with driving() as driver:
        seen = await driver.start(spec(server.port, "/ok", duration_s=1.0))
        await asyncio.sleep(0.4)
        driver.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.4)
        driver.process.send_signal(signal.SIGCONT)
        await driver.finish(seen)
    lags = sorted(op.sent_s - op.due_s for op in seen.ops)
    lag = seen.done["lag"]
    assert len(seen.ops) == 100
    assert 0.3 < lag["max_s"] < 0.4 + BUSY_HOST_S
    assert (lag["p50_s"], lag["p99_s"], lag["max_s"]) == pytest.approx(
        (lags[50], lags[99], lags[99]), abs=1e-5
    )
    assert lags[0] >= 0


async def test_operations_arrive_while_the_load_goes_on_and_add_up(server: Server) -> None:
    """Batches come many times a second, a tick every second, and the totals agree."""
    async with driving() as driver:
        seen = await driver.run(spec(server.port, "/ok", duration_s=2.2))
    assert [round(tick["t_s"]) for tick in seen.ticks] == [1, 2]
    assert all(a["due"] < b["due"] for a, b in pairwise(seen.ticks))
    assert seen.done["due"] == len(seen.ops) == 220
    assert 0 < seen.done["cpu_s"] < 2


async def test_stop_sends_nothing_more_and_ends_pauses(server: Server) -> None:
    """Operations waiting for a retry end at once, those in flight within their timeout."""
    stubborn = retry(attempts=5, backoff_s=8.0, backoff_max_s=8.0)
    async with driving() as driver:
        seen = await driver.start(spec(server.port, "/500", duration_s=30.0, retry=stubborn))
        await asyncio.sleep(0.3)
        driver.order(do="stop")
        stopped_s = time.monotonic() - seen.at_s
        await driver.finish(seen)
    assert time.monotonic() - seen.at_s - stopped_s < 0.3 + 2 * BUSY_HOST_S
    assert ends(seen.ops) == {("fail", 500, 1, "http 500")}
    assert len(seen.ops) == seen.done["due"]
    assert max(op.due_s for op in seen.ops) < stopped_s + BUSY_HOST_S


async def test_the_end_of_stdin_ends_the_load(own_server: Server) -> None:
    """Whoever ordered it is gone: the driver exits at once, and the server hears no more of it."""
    async with driving() as driver:
        await driver.start(spec(own_server.port, "/ok", duration_s=30.0))
        await asyncio.sleep(0.3)
        driver.orders.close()
        async with asyncio.timeout(3):
            assert await driver.process.wait() == 0
    heard = len(await own_server.seen())
    await asyncio.sleep(0.2)
    assert len(await own_server.seen()) == heard > 0


async def test_sigterm_ends_it_cleanly_with_what_is_known(server: Server) -> None:
    """Exit status 0, and the operations so far are handed over first."""
    async with driving() as driver:
        await driver.start(spec(server.port, "/ok", duration_s=30.0))
        await asyncio.sleep(0.3)
        driver.process.send_signal(signal.SIGTERM)
        rest = await driver.answers.read()
        async with asyncio.timeout(3):
            assert await driver.process.wait() == 0
    assert rest.count(b'"ok",200') > 5


async def test_ctrl_c_in_the_terminal_leaves_the_driver_to_the_lab(server: Server) -> None:
    """SIGINT reaches the whole process group; the lab heals and drains before it ends the load."""
    async with driving() as driver:
        seen = await driver.start(spec(server.port, "/ok"))
        driver.process.send_signal(signal.SIGINT)
        await driver.finish(seen)
    assert len(seen.ops) == 50


async def test_ping_tells_the_drivers_clock() -> None:
    """Its answer is a reading of the monotonic clock between question and answer."""
    async with driving() as driver:
        asked_s = time.monotonic()
        driver.order(do="ping", n=3)
        answer = await driver.next()
    assert answer["is"] == "pong"
    assert answer["n"] == 3
    assert asked_s < answer["clock_s"] < time.monotonic()


async def test_one_driver_serves_several_loads(server: Server) -> None:
    """A kept driver runs again, with fresh counts."""
    async with driving() as driver:
        first = await driver.run(spec(server.port, "/ok", duration_s=0.2))
        second = await driver.run(spec(server.port, "/500", duration_s=0.1))
    assert (first.done["due"], second.done["due"]) == (20, 10)
    assert ends(second.ops) == {("fail", 500, 1, "http 500")}


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"do": "dance"}, "no such order"),
        ({"do": "start", "at_s": 0}, "nothing is loaded"),
        ({"do": "stop"}, "no load is going on"),
        ({"do": "load", "spec": {"design": "x"}}, "lacks 'requests'"),
        (
            {"do": "load", "spec": {**spec(1, "/ok"), "speed": 3}},
            "unexpected keyword argument 'speed'",
        ),
        ({"do": "load", "spec": spec(1)}, "no requests"),
        ({"do": "load", "spec": spec(1, "/ok", stages=[])}, "needs stages"),
        ({"do": "load", "spec": spec(1, "/o k")}, "not a request line"),
    ],
)
async def test_mistakes_are_said_and_survived(order: dict[str, Any], complaint: str) -> None:
    """An order that makes no sense gets an error that names what is wrong; the driver lives on."""
    async with driving() as driver:
        driver.order(**order)
        answer = await driver.next()
        driver.order(do="ping", n=1)
        assert (await driver.next())["is"] == "pong"
    assert answer["is"] == "error"
    assert complaint in answer["text"]


async def test_a_taken_metrics_port_is_said() -> None:
    """The driver does not load without the metrics it was asked to expose."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        async with driving() as driver:
            load = spec(1, "/ok", metrics_port=port, metrics_host="127.0.0.1")
            driver.order(do="load", spec=load)
            answer = await driver.next()
    assert answer["is"] == "error"
    assert "in use" in answer["text"]


async def test_metrics_count_what_the_history_holds(server: Server) -> None:
    """Every exposed number, by value, against the operations handed over."""
    port = free_port()
    load = spec(
        server.port, "/ok", "/stall", timeout_s=0.1, duration_s=1.4, in_flight_max=3,
        rate_per_s=60, retry=retry(attempts=2), metrics_port=port, metrics_host="127.0.0.1",
    )  # fmt: skip
    async with driving() as driver:
        seen = await driver.run(load)
        async with httpx.AsyncClient(trust_env=False) as prometheus:
            text = (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    by_outcome = Counter((load["requests"][op.request]["name"], op.outcome) for op in seen.ops)
    assert by_outcome["/stall", "info"] > 0
    assert by_outcome["/ok", "ok"] > 0
    for (op, outcome), count in by_outcome.items():
        labels = sorted(["one", op, outcome])
        assert values["lab_client_requests_total", *labels] == count
    for index, op in enumerate(("/ok", "/stall")):
        waits = [row.done_s - row.due_s for row in seen.ops if row.request == index]
        labels = sorted(["one", op])
        assert values["lab_client_latency_seconds_count", *labels] == len(waits)
        assert values["lab_client_latency_seconds_sum", *labels] == pytest.approx(
            sum(waits), abs=1e-3
        )
        slow = values["lab_client_latency_seconds_bucket", *sorted(["one", op, "0.1"])]
        assert slow == sum(wait <= 0.1 for wait in waits)
    attempts = sum(op.attempts for op in seen.ops)
    assert values["lab_client_attempts_total", "one"] == attempts
    assert values["lab_client_saturated_total", "one"] == seen.done["saturated"]
    assert values["lab_client_inflight", "one"] == 0
    assert 0 < values["lab_client_schedule_lag_seconds", "one"] <= seen.done["lag"]["max_s"]


async def test_the_driver_needs_nothing_that_its_container_lacks() -> None:
    """It imports no pydantic and, of the lab, only what is copied beside it."""
    script = (
        "import sys, lab.load.driver;"
        "print(*sorted({m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)));"
        "print(*sorted(m for m in sys.modules if m.startswith('lab.')))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", script, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    output, _ = await process.communicate()
    outside, ours = output.decode().splitlines()
    packages = {name for name in outside.split() if "cython" not in name and name != "__main__"}
    assert packages == {"lab", "httptools", "prometheus_client"}
    small = {name for name in ours.split() if not name.startswith("lab.load")}
    assert small == {"lab.alarm", "lab.clock"}


async def test_it_works_without_uvloop(server: Server) -> None:
    """The standard event loop serves as well, only slower."""
    script = "import sys; sys.modules['uvloop'] = None;from lab.load.driver import main; main()"
    async with driving(sys.executable, "-c", script) as driver:
        seen = await driver.run(spec(server.port, "/ok", "/close", "/stall", "/truncate"))
    assert {op.error for op in seen.ops} == {"", "closed", "timeout", "truncated"}
    assert len(seen.ops) == 50


async def test_random_garbage_on_stdin_is_survived() -> None:
    """Bytes that are no JSON get an error each, and the next order is obeyed."""
    async with driving() as driver:
        for _ in range(20):
            driver.orders.write(random.Random(1).randbytes(30).replace(b"\n", b"") + b"\n")
        driver.order(do="ping", n=1)
        answers = [await driver.next() for _ in range(21)]
    assert [answer["is"] for answer in answers] == ["error"] * 20 + ["pong"]
