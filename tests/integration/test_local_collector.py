"""The collector's process against real endpoints: PostgreSQL, Valkey, the driver's, a web server.

The interval is shorter than in a run, so that a second is enough to see several scrapes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest
import redis

from lab.engines.local.collected import Collector
from lab.engines.local.collector.target import Target
from lab.errors import EngineError
from lab.history import Sample
from lab.load.exposition import Exposition
from lab.load.recorder import Recorder
from tests.integration.local_servers import Server, free_port, postgres, script, valkey
from tests.integration.local_web import serving

INTERVAL_S = 0.2
PATIENCE_S = 15.0


@pytest.fixture(scope="module")
def db() -> Iterator[Server]:
    """A PostgreSQL for the whole file."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def cache() -> Iterator[Server]:
    """A Valkey for the whole file."""
    with valkey() as server:
        yield server


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    """The port of a web server."""
    with serving() as port:
        yield port


@contextlib.asynccontextmanager
async def collecting(tmp_path: Path, *targets: Target) -> AsyncIterator[Collector]:
    collector = await Collector.start(tmp_path / "collector.log")
    try:
        await collector.scrape(targets, INTERVAL_S)
        yield collector
    finally:
        await collector.close()


async def until(
    collector: Collector, names: set[str], enough: Callable[[list[Sample]], bool]
) -> list[Sample]:
    """The samples of these names, once they are enough."""
    start_s = time.time() - 60
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await collector.samples(start_s, time.time(), names)
            if enough(found):
                return found
            await asyncio.sleep(0.05)


def ups(samples: list[Sample], instance: str) -> list[float]:
    return [s.value for s in samples if s.name == "up" and s.instance == instance]


def database(server: Server, name: str = "pool/db-1") -> Target:
    return Target(
        name, "127.0.0.1", server.port, kind="postgres", design="pool", database="postgres"
    )


def store(server: Server, name: str = "pool/cache-1") -> Target:
    return Target(name, "127.0.0.1", server.port, kind="redis", design="pool")


async def test_a_database_says_what_it_does(db: Server, tmp_path: Path) -> None:
    """Ten idle clients are counted within a scrape, and gone when they go."""
    async with collecting(tmp_path, database(db)) as collector:

        def idle(samples: list[Sample]) -> list[float]:
            wanted = {("datname", "postgres"), ("state", "idle")}
            moments: dict[float, float] = {}
            for s in samples:
                if wanted <= set(s.labels):
                    moments[s.at_s] = moments.get(s.at_s, 0) + s.value
            return list(moments.values())

        names = {"pg_stat_activity_count"}
        await until(collector, names, lambda found: idle(found)[-1:] == [0])
        clients = [
            await asyncpg.connect(
                host="127.0.0.1", port=db.port, user="postgres", database="postgres"
            )
            for _ in range(10)
        ]
        await until(collector, names, lambda found: idle(found)[-1] == 10)
        for client in clients:
            await client.close()
        samples = await until(collector, names, lambda found: idle(found)[-1] == 0)
        assert {(s.design, s.instance) for s in samples} == {("pool", "pool/db-1")}


async def test_a_cache_says_what_it_does(cache: Server, tmp_path: Path) -> None:
    """Hits, misses, keys and commands."""
    names = {"redis_keyspace_hits_total", "redis_keyspace_misses_total", "redis_db_keys"}
    client = redis.Redis(port=cache.port)
    client.set("key", "value")
    async with collecting(tmp_path, store(cache)) as collector:

        def latest(samples: list[Sample]) -> dict[str, float]:
            return {s.name: s.value for s in samples if s.labels in ((), (("db", "db0"),))}

        before = latest(await until(collector, names, lambda found: len(latest(found)) == 3))
        for key in ("key", "key", "none"):
            client.get(key)
        hits = before["redis_keyspace_hits_total"] + 2
        after = latest(
            await until(
                collector,
                names,
                lambda found: latest(found).get("redis_keyspace_hits_total") == hits,
            )
        )
        misses = before["redis_keyspace_misses_total"] + 1
        assert after["redis_keyspace_misses_total"] == misses
        assert after["redis_db_keys"] == 1
    client.close()


async def test_a_frozen_server_is_down_alone_and_comes_back(
    db: Server, cache: Server, web: int, tmp_path: Path
) -> None:
    """Neither a frozen database nor a frozen cache delays anybody; both go on afterwards."""
    other = Target("web", "127.0.0.1", web, path="/length")
    async with collecting(tmp_path, database(db), store(cache), other) as collector:
        frozen = ("pool/db-1", "pool/cache-1")
        await until(collector, {"up"}, lambda found: all(ups(found, n)[-1:] == [1] for n in frozen))
        postmaster = os.getpgid(db.process.pid)
        backends = _children(db.process.pid)
        for pid in (*backends, db.process.pid, cache.process.pid):
            os.kill(pid, signal.SIGSTOP)
        try:
            start_s = time.time()
            await until(
                collector,
                {"up"},
                lambda found: all(ups(found, n)[-3:] == [0, 0, 0] for n in frozen),
            )
            others = await collector.samples(
                start_s, time.time(), {"up", "scrape_duration_seconds"}
            )
            assert set(ups(others, "web")) == {1.0}
            took = [s for s in others if s.name == "scrape_duration_seconds"]
            assert all(s.value < INTERVAL_S * 1.5 for s in took if s.instance == "web")
        finally:
            for pid in (*backends, db.process.pid, cache.process.pid):
                os.kill(pid, signal.SIGCONT)
        await until(collector, {"up"}, lambda found: all(ups(found, n)[-1] == 1 for n in frozen))
        assert os.getpgid(db.process.pid) == postmaster  # it was never replaced


async def test_a_killed_cache_is_down_until_it_is_back(tmp_path: Path) -> None:
    """At the same address, with a connection of its own again."""
    with valkey() as server:
        async with collecting(tmp_path, store(server)) as collector:
            await until(collector, {"up"}, lambda found: ups(found, "pool/cache-1")[-1:] == [1])
            server.end()
            await until(collector, {"up"}, lambda found: ups(found, "pool/cache-1")[-1] == 0)
            down_s = time.time()
            await asyncio.sleep(2 * INTERVAL_S)
            names = {"redis_connected_clients"}
            assert await collector.samples(down_s, time.time(), names) == []
            server.start()
            await until(collector, {"up"}, lambda found: ups(found, "pool/cache-1")[-1] == 1)
    log = (tmp_path / "collector.log").read_text()
    assert "pool/cache-1" in log
    assert "Traceback" not in log


async def test_a_password_is_used_and_a_wrong_one_is_a_failed_scrape(tmp_path: Path) -> None:
    """For both kinds of server."""
    with valkey("--requirepass", "secret") as server:
        here = {"host": "127.0.0.1", "port": server.port, "kind": "redis"}
        targets = [Target(name, password=name, **here) for name in ("secret", "wrong")]
        async with collecting(tmp_path, *targets) as collector:
            samples = await until(collector, {"up"}, lambda found: len(found) >= 6)
    assert (set(ups(samples, "secret")), set(ups(samples, "wrong"))) == ({1.0}, {0.0})
    assert "WRONGPASS" in (tmp_path / "collector.log").read_text()


@pytest.mark.parametrize(
    ("path", "up"),
    [("/length", 1), ("/chunks", 1), ("/closes", 1), ("/cut", 0), ("/html", 0), ("/500", 0)],
)
async def test_every_kind_of_answer(web: int, tmp_path: Path, path: str, up: int) -> None:
    """What is no complete 200 in the text format is down, and leaves no value."""
    async with collecting(tmp_path, Target("web", "127.0.0.1", web, path=path)) as collector:
        samples = await until(collector, {"up", "level"}, lambda found: len(ups(found, "web")) >= 3)
    assert set(ups(samples, "web")) == {up}
    assert {s.value for s in samples if s.name == "level"} == ({4.0} if up else set())
    assert "Traceback" not in (tmp_path / "collector.log").read_text()


async def test_the_drivers_own_metrics_keep_their_design(tmp_path: Path) -> None:
    """As the load driver exposes them, scraped as the lab's own."""
    recorder = Recorder(("read",), lambda _rows: None)
    recorder.began(0.001)
    exposition = Exposition()
    exposition.show("pool", recorder)
    port = free_port()
    exposition.listen("127.0.0.1", port)
    target = Target("pool/client", "127.0.0.1", port, design="other", honor_labels=True)
    names = {"lab_client_inflight", "lab_client_latency_seconds_bucket", "up"}
    async with collecting(tmp_path, target) as collector:
        samples = await until(collector, names, lambda found: len(ups(found, "pool/client")) > 2)
    inflight = [s for s in samples if s.name == "lab_client_inflight"]
    assert {(s.design, s.instance, s.labels, s.value) for s in inflight} == {
        ("pool", "pool/client", (), 1.0)
    }
    buckets = {s.labels for s in samples if s.name == "lab_client_latency_seconds_bucket"}
    assert (("le", "+Inf"), ("op", "read")) in buckets
    assert {s.design for s in samples if s.name == "up"} == {"other"}


async def test_published_metrics_are_scraped_on_the_grid(tmp_path: Path) -> None:
    """Each moment once, an interval apart, in order, with the value that was current."""
    async with collecting(tmp_path) as collector:
        await collector.publish('lab_phase{phase="fault"} 0\n')
        await until(collector, {"lab_phase"}, lambda found: len(found) >= 3)
        await collector.publish('lab_phase{phase="fault"} 1\n')
        samples = await until(
            collector, {"lab_phase"}, lambda found: [s.value for s in found[-3:]] == [1, 1, 1]
        )
    assert {(s.instance, s.design, s.labels) for s in samples} == {
        ("lab", "", (("phase", "fault"),))
    }
    times = [s.at_s for s in samples]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert times == sorted(times)
    # On a grid the gaps' errors do not add up, however busy the machine is.
    grid = [(at - times[0]) / INTERVAL_S for at in times]
    late = [moment - round(moment) for moment in grid]
    assert min(gaps) > 0
    assert sorted(map(abs, late))[len(late) // 2] < 0.25


async def test_other_targets_change_nothing_for_what_is_published(tmp_path: Path) -> None:
    """Neither before the first scrape nor later does the lab's own wait for a new publication."""
    collector = await Collector.start(tmp_path / "collector.log")
    try:
        await collector.publish("lab_x 1\n")
        for count in (2, 4):
            await collector.scrape([], INTERVAL_S)
            await until(collector, {"lab_x"}, lambda found, n=count: len(found) >= n)
    finally:
        await collector.close()


async def test_its_translations_over_http(db: Server, web: int, tmp_path: Path) -> None:
    """For a real Prometheus: one instance each, 404 for another, 503 for one that is down."""
    gone = Target("gone", "127.0.0.1", free_port(), kind="redis")
    async with collecting(tmp_path, database(db), gone) as collector:
        host, port = await collector.serve("127.0.0.1")
        await collector.publish("lab_x 1\n")
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
            good = await client.get("/probe", params={"instance": "pool/db-1"})
            assert (good.status_code, "pg_up 1\n" in good.text) == (200, True)
            assert good.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert (await client.get("/metrics")).text == "lab_x 1\n"
            statuses = [
                (await client.get("/probe", params={"instance": name})).status_code
                for name in ("gone", "other")
            ]
            assert statuses == [503, 404]
            assert (await client.get("/etc/passwd")).status_code == 404


async def test_orders_that_make_no_sense_are_refused_and_nothing_else_happens(
    web: int, tmp_path: Path
) -> None:
    """What was scraped goes on being scraped."""
    async with collecting(tmp_path, Target("web", "127.0.0.1", web, path="/length")) as collector:
        with pytest.raises(EngineError, match="no kind 'mysql'"):
            await collector.scrape([Target("x", "h", 1, kind="mysql")])  # type: ignore[arg-type]
        with pytest.raises(EngineError, match="no such order"):
            await collector.pipe.ask("dance")
        with pytest.raises(EngineError, match="TypeError"):
            await collector.pipe.ask("scrape", targets=[{"host": 1}], interval_s=1, keep_s=1)
        before = len(await until(collector, {"up"}, lambda found: len(found) >= 1))
        await until(collector, {"up"}, lambda found: len(found) >= before + 2)
        assert await collector.samples(0, time.time(), set()) == []
        assert await collector.cpu_s() > 0


async def test_it_ends_with_its_owner_and_not_with_ctrl_c(tmp_path: Path) -> None:
    """However the owner ends; and what it is told in between is still answered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lab.engines.local.collector"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin
    assert process.stdout

    async def usage(number: int) -> dict[str, object]:
        process.stdin.write(json.dumps({"id": number, "do": "usage"}).encode() + b"\n")
        return json.loads(await process.stdout.readline())

    async with asyncio.timeout(PATIENCE_S):
        assert (await usage(1))["id"] == 1
        process.send_signal(signal.SIGINT)
        assert (await usage(2))["id"] == 2
        process.stdin.write(b"no json\n")
        assert (await usage(3))["id"] == 3
        process.stdin.close()
        assert await process.wait() == 0


async def test_nats_numbers_have_the_names_of_its_exporter(tmp_path: Path) -> None:
    """A real NATS server's monitoring port."""
    binary = script("nats-server")
    client, monitor = free_port(), free_port()
    home = tmp_path / "nats"
    home.mkdir()
    argv = [binary, "-a", "127.0.0.1", "-p", str(client), "-m", str(monitor)]
    server = Server(argv, home, monitor)
    server.start()
    try:
        target = Target("q/nats-1", "127.0.0.1", monitor, kind="nats", design="q")
        async with collecting(tmp_path, target) as collector:
            samples = await until(
                collector, {"gnatsd_varz_connections", "up"}, lambda f: len(f) > 3
            )
    finally:
        server.end()
    assert set(ups(samples, "q/nats-1")) == {1.0}
    (labels,) = {s.labels for s in samples if s.name == "gnatsd_varz_connections"}
    assert labels[0][0] == "server_id"


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]
