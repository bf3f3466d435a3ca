"""The load driver as the lab uses it: a process of its own, against a real server on loopback."""

import asyncio
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lab.clock import derived_rng
from lab.load.pacer import Stage, arrivals
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


def keyed(path: str, **changes: Any) -> dict[str, Any]:
    keys = {"kind": "uniform", "n": 1_000_000, "s": 1.0}
    return {"name": "keyed", "method": "GET", "path": path, "keys": keys, **changes}


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


async def test_a_server_that_accepts_and_closes_at_once_is_noticed_at_once() -> None:
    """So does a proxy whose server is gone; the request may or may not have left by then."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as gone, driving() as driver:
        port = gone.sockets[0].getsockname()[1]
        seen = await driver.run(spec(port, "/ok", timeout_s=5.0))
    assert len(seen.ops) == 50
    assert {(op.outcome, op.error) for op in seen.ops} <= {
        ("fail", "closed"),
        ("info", "closed"),
        ("info", "reset"),
    }
    assert max(op.done_s - op.due_s for op in seen.ops) < 2 * BUSY_HOST_S


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
