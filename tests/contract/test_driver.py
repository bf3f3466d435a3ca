"""The load driver as the lab uses it: a process of its own, against a real server on loopback."""

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

from lab.clock import derived_rng
from lab.load.pacer import Stage, arrivals
from tests.contract.loopback import Row, Server, driving, serving, spec

BUSY_HOST_S = 0.25
"""How much later than due anything may happen on a machine that has other things to do."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def own_server() -> Iterator[Server]:
    with serving() as running:
        yield running


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


def retry(**changes: Any) -> dict[str, Any]:
    plain = {"attempts": 1, "budget": None, "backoff_s": 0, "backoff_max_s": 1, "jitter": "none"}
    return {**plain, **changes}


def keyed(path: str, **changes: Any) -> dict[str, Any]:
    keys = {"kind": "uniform", "n": 1_000_000, "s": 1.0}
    return {"name": "keyed", "method": "GET", "path": path, "keys": keys, **changes}


def ends(ops: list[Row]) -> set[tuple[str, int, int, str]]:
    return {(op.outcome, op.status, op.attempts, op.error) for op in ops}


OUTCOMES = {
    "/ok": ("ok", 200, ""),
    "/302": ("ok", 302, ""),
    "/204": ("ok", 204, ""),
    "/continue": ("ok", 200, ""),
    "/chunked": ("ok", 200, ""),
    "/until-eof": ("ok", 200, ""),
    "/ok-then-close": ("ok", 200, ""),
    "/404": ("fail", 404, "http 404"),
    "/500": ("fail", 500, "http 500"),
    "/stall": ("info", 0, "timeout"),
    "/close": ("info", 0, "closed"),
    "/reset": ("info", 0, "reset"),
    "/nonsense": ("info", 0, "bad answer"),
    "/truncate": ("info", 200, "truncated"),
    "/half-head": ("info", 0, "truncated"),
    "/half-chunk": ("info", 200, "truncated"),
}


async def test_every_way_an_attempt_ends_has_its_outcome(server: Server) -> None:
    """Below 400 is ok, 4xx and 5xx fail, and what nobody can know is info, half an answer too."""
    async with driving() as driver:
        seen = await driver.run(spec(server.port, *OUTCOMES, duration_s=1.0, rate_per_s=400))
    names = list(OUTCOMES)
    found = {names[op.request]: (op.outcome, op.status, op.error) for op in seen.ops}
    assert found == OUTCOMES
    assert len({(op.request, op.outcome, op.status, op.error) for op in seen.ops}) == len(OUTCOMES)
    assert len(seen.ops) == seen.done["due"] == seen.done["sent"] == 400


async def test_a_refused_connection_is_a_failure_for_certain() -> None:
    """Nobody listens: nothing can have happened, so `fail`."""
    async with driving() as driver:
        seen = await driver.run(spec(free_port(), "/ok", duration_s=0.1))
    assert ends(seen.ops) == {("fail", 0, 1, "refused")}


async def test_a_connection_that_never_opens_is_a_failure_for_certain() -> None:
    """Nobody accepts and the backlog is full: the request never left, so `fail`, in good time."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        port = deaf.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(("127.0.0.1", port))
            async with driving() as driver:
                seen = await driver.run(spec(port, "/ok", duration_s=0.1))
    assert ends(seen.ops) == {("fail", 0, 1, "connect timeout")}
    assert all(0.29 < op.done_s - op.sent_s < 0.3 + BUSY_HOST_S for op in seen.ops)


async def test_an_attempt_ends_at_its_timeout(server: Server) -> None:
    """A server that says nothing costs the timeout of 0.3 s, no less and little more."""
    async with driving() as driver:
        seen = await driver.run(spec(server.port, "/stall", duration_s=0.2))
    assert all(0.29 < op.done_s - op.sent_s < 0.3 + BUSY_HOST_S for op in seen.ops)


async def test_a_frozen_server_is_charged_for_every_request_due_meanwhile(
    own_server: Server,
) -> None:
    """The open loop sends on time while nothing answers; whoever was due then waited."""
    async with driving() as driver:
        seen = await driver.start(spec(own_server.port, "/ok", duration_s=2.0, timeout_s=5.0))
        await asyncio.sleep(0.5)
        own_server.freeze()
        frozen_s = time.monotonic() - seen.at_s
        await asyncio.sleep(1.0)
        thawed_s = time.monotonic() - seen.at_s
        own_server.thaw()
        await driver.finish(seen)
    assert [op.due_s for op in sorted(seen.ops, key=lambda op: op.due_s)] == pytest.approx(
        [n / 100 for n in range(200)], abs=1e-6
    )
    assert ends(seen.ops) == {("ok", 200, 1, "")}
    during = [op for op in seen.ops if frozen_s + 0.02 < op.due_s < thawed_s]
    assert len(during) > 90
    assert all(op.done_s >= thawed_s for op in during)
    assert max(op.sent_s - op.due_s for op in during) < BUSY_HOST_S
    assert sum(op.done_s - op.due_s for op in during) / len(during) > 0.4


async def test_a_closed_loop_hides_the_same_freeze(own_server: Server) -> None:
    """Its two users wait in silence, so two requests of thousands saw it, and p99 did not."""
    load = spec(own_server.port, "/ok", loop="closed", users=2, duration_s=2.0, timeout_s=5.0)
    async with driving() as driver:
        seen = await driver.start({**load, "think_s": 0.001})
        await asyncio.sleep(0.5)
        own_server.freeze()
        await asyncio.sleep(1.0)
        own_server.thaw()
        await driver.finish(seen)
    waits = sorted(op.done_s - op.due_s for op in seen.ops)
    assert sum(wait > 0.9 for wait in waits) == 2
    assert waits[int(len(waits) * 0.99)] < 0.3
    assert all(op.due_s == op.sent_s for op in seen.ops)


async def test_users_of_a_closed_loop_ask_one_thing_at_a_time_and_think(server: Server) -> None:
    """Two users who think 50 ms make at most 2 * 20 requests a second, never three at once."""
    load = spec(server.port, loop="closed", users=2, think_s=0.05, duration_s=1.0)
    async with driving() as driver:
        seen = await driver.run({**load, "requests": [keyed("/ok/{key}")], "stages": []})
    assert 10 < len(seen.ops) <= 42
    edges = sorted([(op.sent_s, 1) for op in seen.ops] + [(op.done_s, -1) for op in seen.ops])
    level = highest = 0
    for _, change in edges:
        level += change
        highest = max(highest, level)
    assert highest <= 2


async def test_the_end_of_an_idle_connection_is_no_error(own_server: Server) -> None:
    """A server that closes a reused connection unasked gets the request again on a fresh one."""
    async with driving() as driver:
        seen = await driver.run(spec(own_server.port, "/once"))
    assert ends(seen.ops) == {("ok", 200, 1, "")}
    assert len(await own_server.seen()) > len(seen.ops) == 50


async def test_a_post_lost_in_full_swing_is_not_sent_twice(own_server: Server) -> None:
    """It may have been carried out: the client says `info` and does not repeat it by itself."""
    async with driving() as driver:
        post = {"name": "post", "method": "POST", "path": "/once", "body": "{}"}
        seen = await driver.run({**spec(own_server.port), "requests": [post]})
    assert ends(seen.ops) == {("ok", 200, 1, ""), ("info", 0, 1, "closed")}
    assert len(await own_server.seen()) == len(seen.ops) == 50


async def test_a_post_after_an_idle_while_is_sent_again(server: Server) -> None:
    """Closed after more than a second of idling is the keep-alive race, for a POST too."""
    async with driving() as driver:
        post = {"name": "post", "method": "POST", "path": "/once", "body": "{}"}
        load = spec(server.port, rate_per_s=0.8, duration_s=2.6)
        seen = await driver.run({**load, "requests": [post]})
    assert [(op.outcome, op.attempts) for op in seen.ops] == [("ok", 1)] * 3


async def test_keep_alive_reuses_connections_and_new_does_not(server: Server) -> None:
    """`/once` answers only the first request of a connection: with one each, none is lost."""
    async with driving() as driver:
        before = len(await server.seen())
        seen = await driver.run(spec(server.port, "/once", connections="new"))
    assert ends(seen.ops) == {("ok", 200, 1, "")}
    assert len(await server.seen()) - before == len(seen.ops)


async def test_naive_retries_multiply_the_load(own_server: Server) -> None:
    """Four attempts at a failing server are four requests per operation."""
    async with driving() as driver:
        seen = await driver.run(spec(own_server.port, "/500", retry=retry(attempts=4)))
    assert ends(seen.ops) == {("fail", 500, 4, "http 500")}
    assert len(await own_server.seen()) == 4 * len(seen.ops) == 200


async def test_a_retry_budget_bounds_them(own_server: Server) -> None:
    """With 10 % of 200 operations, 20 retries and no more reach the server."""
    async with driving() as driver:
        load = spec(own_server.port, "/500", rate_per_s=400, retry=retry(attempts=4, budget=0.1))
        seen = await driver.run(load)
    assert len(seen.ops) == 200
    assert len(await own_server.seen()) == sum(op.attempts for op in seen.ops) == 220


async def test_a_retry_waits_for_its_backoff_and_may_succeed(server: Server) -> None:
    """Failed at first, ok 0.1 s later: one operation, two attempts, latency from when due."""
    patient = retry(attempts=3, backoff_s=0.1)
    async with driving() as driver:
        load = spec(server.port, duration_s=0.3, retry=patient)
        seen = await driver.run({**load, "requests": [keyed("/second-time/{key}")]})
    assert ends(seen.ops) == {("ok", 200, 2, "")}
    assert all(0.099 < op.done_s - op.due_s < 0.1 + BUSY_HOST_S for op in seen.ops)


async def test_a_failure_after_a_timeout_stays_unknown(server: Server) -> None:
    """The first attempt may yet have its effect, so the operation is `info` whatever came later."""
    async with driving() as driver:
        load = spec(server.port, duration_s=0.1, retry=retry(attempts=2))
        seen = await driver.run({**load, "requests": [keyed("/second-time-stall/{key}")]})
    assert ends(seen.ops) == {("info", 500, 2, "http 500")}


async def test_keys_go_into_path_body_and_headers(own_server: Server) -> None:
    """What the server read is what the driver says it sent."""
    post = keyed("/ok/{key}", method="POST", body='{"id":{key}}', headers={"X-Key": "{key}"})
    async with driving() as driver:
        seen = await driver.run({**spec(own_server.port, duration_s=0.2), "requests": [post]})
    expected = [f'POST /ok/{op.key} {{"id":{op.key}}}' for op in seen.ops]
    assert sorted(await own_server.seen()) == sorted(expected)
    assert len(expected) == 20


async def test_a_seed_fixes_arrivals_mix_and_keys_whatever_the_answers(server: Server) -> None:
    """Two designs under one load get the same operations, though one of them fails and retries."""
    plans = []
    for path, policy in (("/ok/{key}", retry()), ("/500/{key}", retry(attempts=3))):
        requests = [keyed(path), keyed(path, name="rare", weight=0.2)]
        load = spec(server.port, duration_s=1.0, arrivals="poisson", retry=policy)
        async with driving() as driver:
            seen = await driver.run({**load, "requests": requests})
        plans.append(sorted((op.due_s, op.request, op.key) for op in seen.ops))
    assert plans[0] == plans[1]
    drawn = arrivals([Stage(100, 100, 1.0)], "poisson", derived_rng(7, "arrivals"))
    assert [due_s for due_s, _, _ in plans[0]] == pytest.approx(list(drawn), abs=1e-6)


async def test_a_ramp_is_followed(server: Server) -> None:
    """From 0 to 400/s in a second: 200 arrivals, a quarter of them in the first half."""
    ramp = [{"from_per_s": 0, "to_per_s": 400, "for_s": 1.0}]
    async with driving() as driver:
        seen = await driver.run({**spec(server.port, "/ok", duration_s=1.0), "stages": ramp})
    assert len(seen.ops) == 200
    assert sum(op.due_s < 0.5 for op in seen.ops) == pytest.approx(50, abs=1)


async def test_what_the_driver_cannot_send_is_recorded_and_counted(server: Server) -> None:
    """Five in flight and no more: all others are refused on the spot, none is forgotten."""
    load = spec(server.port, "/stall", in_flight_max=5, timeout_s=1.0, duration_s=0.5)
    async with driving() as driver:
        seen = await driver.run(load)
    refused = [op for op in seen.ops if op.error == "saturated"]
    assert Counter(op.error for op in seen.ops) == {"timeout": 5, "saturated": 45}
    assert {(op.outcome, op.attempts) for op in refused} == {("fail", 0)}
    assert (seen.done["due"], seen.done["sent"], seen.done["saturated"]) == (50, 5, 45)


async def test_a_process_out_of_file_descriptors_says_saturated(server: Server) -> None:
    """What is the driver's own limit is not blamed on the system under test."""
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24));"
        "from lab.load.driver import main; main()"
    )
    async with driving(sys.executable, "-c", script) as driver:
        seen = await driver.run(spec(server.port, "/stall", timeout_s=1.0))
    counts = Counter((op.outcome, op.error) for op in seen.ops)
    assert set(counts) == {("info", "timeout"), ("fail", "saturated")}
    assert seen.done["saturated"] == counts["fail", "saturated"] > 20


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
    assert {name for name in ours.split() if not name.startswith("lab.load")} == {"lab.clock"}


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
