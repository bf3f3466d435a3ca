"""Waiting for conditions: what comes true where, and faults that follow it in each design."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from lab.clock import Clock
from lab.conditions import parse_condition
from lab.engines import Killable
from lab.errors import EngineError
from lab.experiment import Experiment, ScheduledFault
from lab.faults import Together, injections
from lab.faults.base import Fault, Observation
from lab.faults.triggered import part_of
from lab.plan import Deployment, Instance
from lab.record import FaultRecord
from lab.topology import Scrape, Service
from lab.triggers import NeverCameError, Watcher

from .checkers_runs import experiment

APP = Service("app", image="app", replicas=2, scrape=Scrape(8000, "/metrics"))
DB = Service("db", image="db", scrape=Scrape(5432, "/metrics", "postgres"), shared=True)
INSTANCES = (
    *(Instance(design, APP, n) for design in ("naive", "sturdy") for n in (1, 2)),
    Instance("", DB, 1),
)
DEPLOYMENT = Deployment(("naive", "sturdy"), {}, INSTANCES, ())


@dataclass
class Events:
    """The reporting end of a service."""

    clock: Clock
    life: str = "a"
    told: list[tuple[int, str, float]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def happens(self, name: str) -> None:
        self.told.append((len(self.told) + 1, name, self.clock.now()))
        self.news.set()

    def restarts(self) -> None:
        self.life, self.told = "b", []

    async def answer(self, query: dict[str, str]) -> str:
        after = int(query["after"]) if query.get("life") == self.life else 0
        if not any(n > after for n, _, _ in self.told):
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(float(query["wait_s"])):
                    await self.news.wait()
        found = [e for e in self.told if e[0] > after and e[1] == query["names"]]
        return json.dumps(
            {
                "life": self.life,
                "last": len(self.told),
                "clock_s": self.clock.now(),
                "events": [{"n": n, "name": name, "at_s": at_s} for n, name, at_s in found],
                "known": sorted({name for _, name, _ in self.told}),
            }
        )


class Cluster:
    """Services that report events and metrics, and lamps that a fault turns off."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.deployment = DEPLOYMENT
        self.events = {instance.name: Events(clock) for instance in INSTANCES}
        self.metrics: dict[str, str] = {}
        self.dark: set[str] = set()
        self.silent: set[str] = set()

    async def http(self, instance: Instance, method: str, path: str) -> tuple[int, str]:
        if instance.name in self.silent:
            raise EngineError("no answer")
        asked = parse_qs(urlsplit(path).query)
        query = {key: values[0] for key, values in asked.items()}
        return 200, await self.events[instance.name].answer(query)

    async def scrape(self, instance: Instance, timeout_s: float = 1.0) -> str:
        if instance.name not in self.metrics:
            raise EngineError("no answer")
        return self.metrics[instance.name]

    async def kill(self, instance: Instance) -> None: ...

    async def start(self, instance: Instance) -> None: ...


class Dark(Fault):
    """The lamps of some instances are off."""

    kind: ClassVar[str] = "dark"
    service: str = "app"
    look: float = 0.0

    def describe(self) -> str:
        return f"darkness in {self.service}"

    @property
    def look_s(self) -> float:
        return self.look

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        return tuple(instance.name for instance in deployment.instances_of(self.service))

    async def inject(self, cluster: Any) -> None:
        cluster.dark |= {*self.targets(cluster.deployment)}

    async def heal(self, cluster: Any) -> None:
        cluster.dark -= {*self.targets(cluster.deployment)}

    async def observe(self, cluster: Any) -> Observation:
        seen = [name in cluster.dark for name in self.targets(cluster.deployment)]
        return Observation.of(seen, f"{sum(seen)} of {len(seen)} dark")


@pytest.fixture
def cluster() -> Cluster:
    """Up since now."""
    return Cluster(Clock.starting_in(0))


def scheduled(name: str = "dark", **changes: Any) -> ScheduledFault:
    """A fault that may start within 2 s and then lasts 0.2 s."""
    values: dict[str, Any] = {"fault": Dark(), "at_s": 0.0, "for_s": 0.2, "name": name}
    return ScheduledFault(**{**values, **changes})


def waiting(cluster: Cluster, *faults: ScheduledFault) -> tuple[Watcher, Experiment]:
    """A watcher of an experiment with these faults."""
    what = experiment(faults=faults)
    return Watcher(what, cluster, cluster.clock), what  # type: ignore[arg-type]


async def run(cluster: Cluster, *faults: ScheduledFault) -> dict[str, FaultRecord]:
    """All faults to their ends; their records by key."""
    watcher, what = waiting(cluster, *faults)
    told: list[str] = []

    def changed(record: FaultRecord, stage: str) -> None:
        told.append(f"{record.key} {stage}")
        watcher.note(record, stage)

    clock = cluster.clock
    work = injections(what, cluster, clock, changed, watcher=watcher, together=Together())  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        records = await asyncio.gather(*(injection.run() for injection in work))
    assert cluster.dark == set()
    assert len({*told}) == len(told)
    return {record.key: record for record in records}


async def test_a_fault_follows_the_event_of_each_design(cluster: Cluster):
    """Each design is broken at its own moment, and only its own part of it."""
    tasks = asyncio.create_task(run(cluster, scheduled(when="app.locked", within_s=5)))
    await asyncio.sleep(0.1)
    cluster.events["sturdy/app-2"].happens("locked")
    await asyncio.sleep(0.05)
    assert cluster.dark == {"sturdy/app-1", "sturdy/app-2"}
    await asyncio.sleep(0.35)
    cluster.events["naive/app-1"].happens("other")
    await asyncio.sleep(0.05)
    assert cluster.dark == set()
    cluster.events["naive/app-1"].happens("locked")
    records = await tasks
    assert set(records) == {"naive/dark", "sturdy/dark"}
    for design, instance in (("sturdy", "sturdy/app-2"), ("naive", "naive/app-1")):
        record = records[f"{design}/dark"]
        assert record.started_by == f"app.locked of {instance}"
        assert record.text == f"{design}: darkness in app"
        assert record.targets == (f"{design}/app-1", f"{design}/app-2")
        assert record.triggered_s == pytest.approx(cluster.events[instance].told[-1][2], abs=0.005)
        assert 0 <= record.injected_s - record.triggered_s < 0.05  # type: ignore[operator]
        assert record.healed_s - record.injected_s == pytest.approx(0.2, abs=0.1)  # type: ignore[operator]
        assert record.bit
        assert record.healed


async def test_what_designs_share_is_broken_once(cluster: Cluster):
    """By the first design in which it comes true."""
    fault = scheduled(fault=Dark(service="db"), when="app-1.locked", within_s=5)
    tasks = asyncio.create_task(run(cluster, fault))
    await asyncio.sleep(0.05)
    cluster.events["naive/app-2"].happens("locked")
    await asyncio.sleep(0.05)
    assert cluster.dark == set()
    cluster.events["sturdy/app-1"].happens("locked")
    records = await tasks
    assert set(records) == {"dark"}
    assert records["dark"].text == "darkness in db"


async def test_an_event_before_its_time_does_not_count(cluster: Cluster):
    """Nor does one of a former life, and a restarted service is followed from its beginning."""
    watcher, _ = waiting(cluster)
    cluster.events["naive/app-1"].happens("locked")
    condition = parse_condition("app.locked")
    waits = asyncio.create_task(watcher.wait(condition, "naive", 0.1, 5))
    await asyncio.sleep(0.2)
    assert not waits.done()
    cluster.silent.add("naive/app-1")
    cluster.events["naive/app-1"].restarts()
    cluster.events["naive/app-1"].news.set()
    await asyncio.sleep(0.1)
    cluster.silent.clear()
    cluster.events["naive/app-1"].happens("locked")
    seen = await asyncio.wait_for(waits, 5)
    assert seen.at_s == pytest.approx(cluster.events["naive/app-1"].told[0][2], abs=0.02)


async def test_what_never_came_says_what_came_instead(cluster: Cluster):
    """Then nothing was injected, and the record holds the reason."""
    tasks = asyncio.create_task(run(cluster, scheduled(when="app.locked", within_s=0.3)))
    await asyncio.sleep(0.1)
    cluster.events["naive/app-1"].happens("unlocked")
    records = await tasks
    never = {key: record.never for key, record in records.items()}
    head = "`app.locked` did not come true within 0.3 s: reported so far:"
    assert never == {"naive/dark": f"{head} unlocked", "sturdy/dark": f"{head} nothing"}
    assert all(record.injected_s is None for record in records.values())


async def test_another_fault_s_stage_is_that_of_the_same_design(cluster: Cluster):
    """And a fault of all designs at once has reached it in each."""
    first = scheduled("first", when="app.locked", within_s=0.6, for_s=0.1, at_s=0.05)
    then = scheduled(
        "then", fault=Dark(service="db-1"), when="first.gone", within_s=2, until="first.bit"
    )
    tasks = asyncio.create_task(run(cluster, first, then))
    await asyncio.sleep(0.1)
    cluster.events["naive/app-1"].happens("locked")
    records = await tasks
    assert records["sturdy/first"].never
    assert records["then"].started_by == "first.gone"
    assert records["then"].injected_s >= records["naive/first"].gone_s  # type: ignore[operator]
    assert records["then"].ended_by == "first.bit"


async def test_a_metric_is_summed_over_a_design_and_ends_a_fault(cluster: Cluster):
    """What services say now, those that designs share among them."""
    cluster.metrics = {
        "naive/app-1": 'queue{route="/x"} 2\nqueue_total 50\n',
        "naive/app-2": 'queue{route="/x"} 1.5\nqueue{route="/y"} 9\n# TYPE queue gauge\n',
        "sturdy/app-1": 'queue{route="/x"} 1\n',
        "db-1": 'queue{route="/x"} 0.5\n',
    }
    watcher, _ = waiting(cluster)

    async def value(text: str, design: str) -> str:
        with pytest.raises(NeverCameError) as caught:
            await watcher.wait(parse_condition(text), design, 0, cluster.clock.now() + 0.05)
        return str(caught.value).rpartition(": ")[2]

    async def becomes(dark: set[str]) -> None:
        async with asyncio.timeout(5):
            while cluster.dark != dark:  # noqa: ASYNC110 - the lamps tell nobody
                await asyncio.sleep(0.01)

    assert await value('queue{route="/x"} > 100', "naive") == "last value 4"
    assert await value("queue > 100", "naive") == "last value 13"
    assert await value('app.queue{route="/x"} > 100', "naive") == "last value 3.5"
    assert await value("app-2.queue > 100", "naive") == "last value 10.5"
    assert await value("max(app.queue) > 100", "naive") == "last value 9"
    assert await value("min(queue) > 100", "sturdy") == "last value 0.5"
    assert await value("nothing > 100", "sturdy") == "there was no value"
    fault = scheduled(when="app.queue < 2", within_s=5, until="app.queue == 0", for_s=2)
    tasks = asyncio.create_task(run(cluster, fault))
    await becomes({"sturdy/app-1", "sturdy/app-2"})
    changed_s = cluster.clock.now()
    cluster.metrics["sturdy/app-1"] = "queue 0\n"
    cluster.metrics |= {"naive/app-1": "queue 1\n", "naive/app-2": ""}
    records = await tasks
    assert records["sturdy/dark"].ended_by == "app.queue == 0 (it was 0)"
    ended_s = records["sturdy/dark"].healed_s
    assert ended_s is not None
    assert changed_s < ended_s < changed_s + 1, "asked five times a second"
    capped = records["naive/dark"]
    assert capped.ended_by.startswith("its time was over: `app.queue == 0` did not come true")
    assert capped.ended_by.endswith("last value 1")
    assert capped.healed
    assert 2 <= capped.healed_s - capped.injected_s < 2.5  # type: ignore[operator]


async def test_a_phase_begins_when_it_does(cluster: Cluster):
    """Known in advance, so it is neither early nor late."""
    cluster.clock = Clock.starting_in(-9.9)
    watcher, _ = waiting(cluster)
    seen = await watcher.wait(parse_condition("fault.begins"), "naive", 9.9, 12)
    assert (seen.at_s, seen.text) == (10, "fault.begins")
    assert cluster.clock.now() == pytest.approx(10, abs=0.05)


async def test_cancelling_heals_in_every_design(cluster: Cluster):
    """Also those that still wait end."""
    tasks = asyncio.create_task(run(cluster, scheduled(when="app.locked", within_s=9, for_s=9)))
    await asyncio.sleep(0.05)
    cluster.events["naive/app-1"].happens("locked")
    await asyncio.sleep(0.1)
    assert cluster.dark == {"naive/app-1", "naive/app-2"}
    tasks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks
    async with asyncio.timeout(2):
        while cluster.dark:  # noqa: ASYNC110 - healing goes on behind the cancelled task
            await asyncio.sleep(0.01)


async def test_services_that_report_no_events_are_found_before_the_load(cluster: Cluster):
    """Nothing is silently never injected."""
    watcher, _ = waiting(cluster, scheduled(when="app.locked", within_s=1))
    await watcher.check()

    async def refuse(*_: Any) -> tuple[int, str]:
        return 404, "Not Found"

    cluster.http = refuse  # type: ignore[method-assign]
    with pytest.raises(EngineError, match=r"app-1 reports no events .*: it answered 404"):
        await watcher.check()

    async def ramble(*_: Any) -> tuple[int, str]:
        return 200, '{"events": []}'

    cluster.http = ramble  # type: ignore[method-assign]
    with pytest.raises(EngineError, match=r"an answer has clock_s, events, known, last, life"):
        await watcher.check()


def test_a_part_of_a_cluster_keeps_its_abilities(cluster: Cluster):
    """Faults ask for them by protocol; what they see is one design's own."""
    part = part_of(cluster, "naive")  # type: ignore[arg-type]
    assert isinstance(part, Killable)
    assert not isinstance(SimpleNamespace(), Killable)
    assert [i.name for i in part.deployment.instances] == ["naive/app-1", "naive/app-2"]
    assert [i.name for i in part_of(cluster, "").deployment.instances] == ["db-1"]  # type: ignore[arg-type]
