"""The services' shared library: slots, failpoints, settings and what every service answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

sys.path.insert(0, str(Path(__file__).parents[2] / "topologies" / "lib"))

from labkit import FullError, Slots, count, count_if_wasted, failpoint, seconds, service


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def client(*routes: Route) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=service(*routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        yield http


class Work:
    """Takes a slot, notes its number, and keeps the slot until it is let go."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.order: list[int] = []
        self.go_on = asyncio.Event()

    async def __call__(self, number: int) -> None:
        async with self.slots:
            self.order.append(number)
            await self.go_on.wait()


async def settled() -> None:
    """Let every task run until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_slots_hold_so_many_and_queue_the_rest_in_order() -> None:
    work = Work(Slots(2))
    async with asyncio.TaskGroup() as tasks:
        for number in range(6):
            tasks.create_task(work(number))
        await settled()
        assert work.order == [0, 1]
        assert metric("app_slots_busy") == 2
        assert metric("app_queue_depth") == 4
        work.go_on.set()
    assert work.order == [0, 1, 2, 3, 4, 5]
    assert metric("app_slots_busy") == metric("app_queue_depth") == 0


async def test_slots_turn_away_whoever_finds_the_queue_full() -> None:
    work, shed = Work(Slots(1, queue_cap=1)), metric("app_shed_total")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(work(0))
        tasks.create_task(work(1))
        await settled()
        with pytest.raises(FullError):
            await work(2)
        work.go_on.set()
    assert work.order == [0, 1]
    assert metric("app_shed_total") == shed + 1


async def test_a_caller_that_leaves_the_queue_is_not_counted_any_more() -> None:
    work = Work(Slots(1))
    holder, waiter = asyncio.create_task(work(0)), asyncio.create_task(work(1))
    await settled()
    waiter.cancel()
    await settled()
    assert metric("app_queue_depth") == 0
    work.go_on.set()
    await holder
    async with asyncio.timeout(1):
        await work(2)
    assert work.order == [0, 2]


async def test_a_full_queue_answers_503() -> None:
    slots = Slots(1, queue_cap=0)

    async def work(request: Request) -> Response:
        async with slots:
            return PlainTextResponse("done")

    async with client(Route("/work", work)) as http:
        assert (await http.get("/work")).status_code == 200
        async with slots:
            assert (await http.get("/work")).status_code == 503


@pytest.mark.parametrize("left", [True, False])
async def test_finished_work_counts_as_wasted_when_the_caller_has_left(left: bool) -> None:
    messages = iter([{"type": "http.disconnect"}] if left else [])

    async def receive() -> dict[str, str]:
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError("never")

    before = metric("app_wasted_work_total")
    await count_if_wasted(Request({"type": "http"}, receive))
    assert metric("app_wasted_work_total") == before + left


async def test_the_failpoint_is_armed_and_disarmed_over_http_and_spares_the_lab() -> None:
    async def work(request: Request) -> Response:
        return PlainTextResponse("done")

    async with client(Route("/work/{key}", work)) as http:
        assert (await http.post("/_lab/fail?share=1&seed=1")).json() == {"share": 1.0, "failed": 0}
        assert (await http.get("/work/1")).status_code == 500
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/_lab/fail")).json() == {"share": 1.0, "failed": 1}
        assert (await http.delete("/_lab/fail")).json()["share"] == 0.0
        assert (await http.get("/work/1")).status_code == 200
        for nonsense in ("", "?share=2", "?share=some", "?share=0.1&seed=x"):
            assert (await http.post(f"/_lab/fail{nonsense}")).status_code == 400
        assert (await http.get("/_lab/fail")).json()["share"] == 0.0


async def test_an_error_at_a_named_point_is_an_answer_500() -> None:
    async def work(request: Request) -> Response:
        await failpoint("deep_inside")
        return PlainTextResponse("done")

    async with client(Route("/work", work)) as http:
        await http.post("/_lab/failpoints/deep_inside?do=error&count=1")
        answer = await http.get("/work")
        assert (answer.status_code, answer.text) == (500, "failpoint deep_inside\n")
        assert (await http.get("/work")).status_code == 200
        told = (await http.get("/_lab/failpoints/deep_inside")).json()
        assert (told["armed"], told["reached"], told["struck"]) == (False, 2, 1)
        await http.delete("/_lab/failpoints/deep_inside")


async def test_requests_are_counted_by_route_and_status_but_not_the_lab_s_own() -> None:
    async def work(request: Request) -> Response:
        return PlainTextResponse("done", 201)

    labels = {"route": "/counted/{key}", "status": "201"}
    async with client(Route("/counted/{key}", work)) as http:
        for key in range(3):
            await http.get(f"/counted/{key}")
        text = (await http.get("/metrics")).text
    assert metric("http_server_requests_total", **labels) == 3
    assert metric("http_server_request_duration_seconds_count", route="/counted/{key}") == 3
    assert 'route="/metrics"' not in text
    assert metric("app_inflight") == 0


def test_settings_have_units_and_none_is_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("500ms", 0.5), ("2s", 2.0), ("none", None)):
        monkeypatch.setenv("TIMEOUT", text)
        assert seconds("TIMEOUT") == expected
    for text in ("500", "", "soon"):
        monkeypatch.setenv("TIMEOUT", text)
        with pytest.raises(ValueError, match="TIMEOUT"):
            seconds("TIMEOUT")
    monkeypatch.setenv("CAP", "40")
    assert count("CAP") == 40
    monkeypatch.setenv("CAP", "4O")
    with pytest.raises(ValueError, match="CAP"):
        count("CAP")
