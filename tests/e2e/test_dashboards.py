"""Every query of every dashboard, asked of a real Prometheus while a real run breaks things."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards.queries import ask_for, expressions
from lab import store
from lab.cli.project import experiment_named
from lab.engines import Cluster, Wanted
from lab.engines.docker import DockerEngine
from lab.messages import Message, PhaseStarted
from lab.run import run
from tests.e2e.support import FILES

RULES = (
    "design:lab_client_requests:rate5s",
    "design:lab_client_ok:ratio_rate5s",
    "design:lab_client_latency_seconds:p99_rate5s",
    "link:lab_link_packets:rate5s",
    'ALERTS{alertname="FaultInEffect"}',
    'ALERTS{alertname="ServiceDown"}',
)
ELSEWHERE = ("app_slots_busy", "app_queue_depth", "app_shed_total", "app_wasted_work_total")
"""Of services with a declared capacity, which this topology has none of: see the other test."""

RECOVERING_S = 8.0


class Watched:
    """An engine that lets go of its cluster, for whoever wants to look beside the run."""

    name = "docker"

    def __init__(self) -> None:
        self.cluster: Cluster | None = None

    @asynccontextmanager
    async def up(self, *args: Any) -> AsyncIterator[Cluster]:
        async with DockerEngine().up(*args) as cluster:
            self.cluster = cluster
            yield cluster


async def during(experiment_file: Path, out: Path, queries: list[str]) -> dict[str, int]:
    """Run it; late in its recovery, how many values each query has that are numbers."""
    experiment, engine = experiment_named(str(experiment_file)), Watched()
    recovering, stop = asyncio.Event(), asyncio.Event()

    def emit(message: Message) -> None:
        if isinstance(message, PhaseStarted) and message.name == "recovery":
            recovering.set()

    run_id, folder = store.new_run(out, experiment.name)
    wanted = Wanted(run_id, folder)
    task = asyncio.create_task(run(experiment, engine, "a test", wanted, emit, stop))
    waiting = asyncio.create_task(recovering.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    assert recovering.is_set(), task.exception()
    await asyncio.sleep(RECOVERING_S)
    assert engine.cluster
    url = engine.cluster.addresses()["prometheus"]
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
        found = {query: await values(client, query) for query in queries}
    stop.set()
    await task
    return found


async def values(client: httpx.AsyncClient, query: str) -> int:
    """How many of the last 30 seconds' values are numbers."""
    now = (await client.get("/api/v1/query", params={"query": "time()"})).json()
    end_s = float(now["data"]["result"][1])
    window = {"start": end_s - 30, "end": end_s, "step": "1s"}
    answer = (await client.post("/api/v1/query_range", data={"query": query, **window})).json()
    assert answer["status"] == "success", (query, answer)
    return sum(
        not math.isnan(float(value))
        for series in answer["data"]["result"]
        for _, value in series["values"]
    )


@pytest.mark.docker
@pytest.mark.experiment
async def test_every_panel_has_something_to_draw(tmp_path: Path) -> None:
    """All components, a killed replica, a partition: no query is empty."""
    queries = [q for q in expressions() if not any(name in q for name in ELSEWHERE)]
    found = await during(
        FILES / "every-panel.yaml", tmp_path, [*map(ask_for, queries), *map(ask_for, RULES)]
    )
    assert len(found) > 40
    assert {query for query, count in found.items() if not count} == set()


@pytest.mark.docker
@pytest.mark.experiment
async def test_every_panel_of_services_with_slots_has_something_to_draw(tmp_path: Path) -> None:
    """The rest, on a service with ten slots that gets more than it can do."""
    queries = [q for q in expressions() if any(name in q for name in ELSEWHERE)]
    assert len(queries) == len(ELSEWHERE)
    found = await during(FILES / "every-slot.yaml", tmp_path, [*map(ask_for, queries)])
    assert {query for query, count in found.items() if not count} == set()
