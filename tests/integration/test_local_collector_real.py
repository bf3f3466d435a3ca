"""The collector beside what it stands in for: the real exporters and a real Prometheus.

Their programs are copied out of the images that the Docker engine uses and run here, at the same
servers and at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import subprocess
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePosixPath

import docker
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.engines.docker import prometheus
from lab.engines.docker.images import Images
from lab.engines.local import prometheus_on_path
from lab.engines.local.collected import Collector
from lab.engines.local.collector.source import source_of
from lab.engines.local.collector.target import Target
from lab.history import Sample
from tests.integration.docker_support import client
from tests.integration.local_servers import (
    Server,
    free_port,
    listening,
    postgres,
    replica_of,
    valkey,
)

pytestmark = pytest.mark.docker

CATALOGUE = Path(__file__).resolve().parents[2] / "topologies" / "images"
SECONDS = 5.0
PATIENCE_S = 20.0

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]

ABOUT_THE_EXPORTER = (
    *("pg_exporter_", "pg_scrape_collector_", "redis_exporter_"),
    *("redis_last_key_groups_scrape_duration", "redis_target_scrape_request_errors_total"),
    *("go_", "process_", "promhttp_"),
)
"""Metrics that are not about the server."""

MISREAD = {"redis_db_keys_cached"}
"""The exporter takes Valkey 9.1's `keys_with_volatile_items` for KeyDB's cached keys."""

PER_COMMAND = "cmd"
"""What a scraper asks shows in the statistics of commands, and the two ask differently."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The exporters and Prometheus, as files that run here."""
    api = client()
    images = Images(api, print, CATALOGUE)
    folder = tmp_path_factory.mktemp("programs")
    wanted = {
        "postgres_exporter": (prometheus.POSTGRES_IMAGE, "/bin/postgres_exporter"),
        "redis_exporter": (prometheus.REDIS_IMAGE, "/redis_exporter"),
        "prometheus": (prometheus.IMAGE, "/bin/prometheus"),
    }
    found = {}
    for name, (image, path) in wanted.items():
        found[name] = folder / name
        found[name].write_bytes(copied(api, images.ensure(image), path))
        found[name].chmod(0o755)
    yield found
    api.close()


def copied(api: docker.DockerClient, image: str, path: str) -> bytes:
    """A file of an image, through symbolic links."""
    container = api.containers.create(image, command=["none"])
    try:
        while True:
            stream, _ = container.get_archive(path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
                (member,) = archive.getmembers()
                if not member.issym():
                    content = archive.extractfile(member)
                    assert content
                    return content.read()
                path = str(PurePosixPath(path).parent / member.linkname)
    finally:
        container.remove()


@contextlib.contextmanager
def running(log: Path, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=log.parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def db() -> Iterator[Server]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def cache() -> Iterator[Server]:
    with valkey() as server:
        yield server


def values(text: str) -> Values:
    """Every sample of a text, its name as it stands there, without empty labels."""
    found: Values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            for family in text_string_to_metric_families(line + "\n"):
                for one in family.samples:
                    labels = sorted((k, v) for k, v in one.labels.items() if v)
                    found[one.name, tuple(labels)] = one.value
    return found


def about_the_server(found: Values) -> Values:
    return {
        key: value
        for key, value in found.items()
        if not key[0].startswith(ABOUT_THE_EXPORTER) and key[0] not in MISREAD
    }


async def ours(target: Target) -> Values:
    source = source_of(target)
    try:
        return values((await source.read()).decode())
    finally:
        source.close()
        await asyncio.sleep(0)


async def theirs(port: int, path: str, **query: str) -> Values:
    async with httpx.AsyncClient(trust_env=False, timeout=10.0) as http:
        answer = await http.get(f"http://127.0.0.1:{port}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return about_the_server(values(answer.text))


@pytest.fixture
async def postgres_exporter(programs: dict[str, Path], tmp_path: Path) -> AsyncIterator[int]:
    """Started as on the Docker engine."""
    port = free_port()
    auth = tmp_path / "auth.json"
    auth.write_text(
        '{"auth_modules": {"m": {"type": "userpass", "userpass": {"username": "postgres",'
        ' "password": "none"}, "options": {"sslmode": "disable"}}}}'
    )
    options = [o for o in prometheus.POSTGRES_COMMAND if not o.startswith("--config.file")]
    log = tmp_path / "postgres_exporter.log"
    argv = [str(programs["postgres_exporter"]), f"--config.file={auth}", *options]
    with running(log, *argv, f"--web.listen-address=127.0.0.1:{port}") as process:
        listening(port, lambda: process.poll() is None, log)
        yield port


@pytest.fixture
async def redis_exporter(programs: dict[str, Path], tmp_path: Path) -> AsyncIterator[int]:
    """Started as on the Docker engine."""
    port = free_port()
    log = tmp_path / "redis_exporter.log"
    argv = [str(programs["redis_exporter"]), *prometheus.REDIS_COMMAND]
    with running(log, *argv, f"--web.listen-address=127.0.0.1:{port}") as process:
        listening(port, lambda: process.poll() is None, log)
        yield port


def same_names_and_labels(mine: Values, real: Values) -> None:
    assert sorted(real.keys() - mine.keys()) == []
    assert sorted(mine.keys() - real.keys()) == []


def as_everybody_sees(found: Values) -> Values:
    """Without the scrapers' own connections, and without a label that the exporter mistakes.

    It takes the walsender's process id, the view's first column, for the slot's name that the view
    does not have.
    """
    return {
        (name, tuple(pair for pair in labels if pair[0] != "slot_name")): value
        for (name, labels), value in found.items()
        if dict(labels).get("backend_type") != "client backend" and not own_zero(name, labels)
    }


def own_zero(name: str, labels: tuple[tuple[str, str], ...]) -> bool:
    """A count of nobody in a state in which one of the scrapers may be."""
    said = dict(labels)
    return (
        name.startswith("pg_stat_activity_")
        and said["datname"] == "postgres"
        and said["state"] in ("active", "idle")
    )


async def test_a_postgresql_says_the_same_through_both(db: Server, postgres_exporter: int) -> None:
    """Every series, and the values of all that a scrape itself does not change."""
    address = f"127.0.0.1:{db.port}"
    real = await theirs(postgres_exporter, "/probe", target=f"{address}/postgres", auth_module="m")
    mine = await ours(Target("db", "127.0.0.1", db.port, kind="postgres"))
    same_names_and_labels(as_everybody_sees(mine), as_everybody_sees(real))
    still = [
        key
        for key in real
        if key[0].startswith(("pg_database_", "pg_roles_", "pg_replication_", "pg_static", "pg_up"))
        or ("datname", "template0") in key[1]
    ]
    assert len(still) > 40
    assert {key: mine[key] for key in still} == {key: real[key] for key in still}


async def test_a_primary_and_its_replica_say_the_same_through_both(
    db: Server, postgres_exporter: int
) -> None:
    """Who replicates, and how far behind."""
    with replica_of(db) as replica:
        for server in (db, replica):
            address = f"127.0.0.1:{server.port}"
            real = await theirs(
                postgres_exporter, "/probe", target=f"{address}/postgres", auth_module="m"
            )
            mine = await ours(Target("db", "127.0.0.1", server.port, kind="postgres"))
            same_names_and_labels(as_everybody_sees(mine), as_everybody_sees(real))
            assert mine["pg_replication_is_replica", ()] == (server is replica)
            assert real["pg_replication_is_replica", ()] == (server is replica)
            if server is db:
                said = {name for name, _ in mine if name.startswith("pg_stat_replication_")}
                assert "pg_stat_replication_pg_wal_lsn_diff" in said
                replies = [
                    next(v for (n, _), v in found.items() if n == "pg_stat_replication_reply_time")
                    for found in (mine, real)
                ]
                assert abs(replies[0] - replies[1]) < 30


@pytest.mark.parametrize("role", ["master", "slave"])
async def test_a_valkey_says_the_same_through_both(
    cache: Server, redis_exporter: int, role: str
) -> None:
    """Every series that is not about single commands, and of those the names."""
    with valkey("--replicaof", "127.0.0.1", str(cache.port)) as replica:
        await linked(replica)
        server = cache if role == "master" else replica
        target = Target("cache", "127.0.0.1", server.port, kind="redis")
        # Twice: only then each of the two sees the commands of the other.
        for _ in range(2):
            real = await theirs(
                redis_exporter, "/scrape", target=f"redis://127.0.0.1:{server.port}"
            )
            mine = await ours(target)

    def plain(found: Values) -> Values:
        return {key: v for key, v in found.items() if PER_COMMAND not in dict(key[1])}

    same_names_and_labels(plain(mine), plain(real))
    assert {name for name, _ in mine} == {name for name, _ in real}
    steady = ("redis_config_", "redis_db_", "redis_max_clients", "redis_instance_info", "redis_up")
    still = [key for key in real if key[0].startswith(steady)]
    assert len(still) > 40
    assert {key: mine[key] for key in still} == {key: real[key] for key in still}


async def linked(replica: Server) -> None:
    """Wait until a replica has its master's data."""
    target = Target("replica", "127.0.0.1", replica.port, kind="redis")
    up: list[float] = []
    async with asyncio.timeout(PATIENCE_S):
        while up != [1]:
            found = await ours(target)
            up = [value for (name, _), value in found.items() if name == "redis_master_link_up"]
            await asyncio.sleep(0.1)


async def test_a_real_prometheus_beside_it_has_the_same_samples(
    programs: dict[str, Path], db: Server, cache: Server, tmp_path: Path
) -> None:
    """The same series, about as many values of each, and the same values of what stands still."""
    listen = ("127.0.0.1", free_port())
    targets = [
        Target("pool/db-1", "127.0.0.1", db.port, kind="postgres", design="pool", service="db"),
        Target("cache-1", "127.0.0.1", cache.port, kind="redis", service="cache"),
        Target(prometheus_on_path.NAME, *listen, honor_labels=True),
        Target("pool/gone-1", "127.0.0.1", free_port(), design="pool", service="gone"),
    ]
    home = tmp_path / "prometheus"
    home.mkdir()
    collector = await Collector.start(tmp_path / "collector.log")
    try:
        await collector.publish('lab_fault_active{name="f",kind="kill",target="pool/db-1"} 1\n')
        program = prometheus_on_path.program(
            programs["prometheus"],
            home,
            targets[:2] + targets[3:],
            translations=await collector.serve("127.0.0.1"),
            listen=listen,
        )
        await collector.scrape(targets)
        log = tmp_path / "prometheus.log"
        with running(log, *program.argv):
            real = prometheus.Prometheus(f"http://{listen[0]}:{listen[1]}")
            try:
                await real.ready()
                await compare(collector, real)
            finally:
                await real.close()
    finally:
        await collector.close()


async def compare(collector: Collector, real: prometheus.Prometheus) -> None:
    names = {
        *("up", "scrape_duration_seconds", "scrape_samples_scraped", "lab_fault_active"),
        *("pg_up", "pg_stat_activity_count", "pg_database_connection_limit"),
        *("redis_up", "redis_db_keys", "redis_connected_clients", "redis_commands_total"),
        *("prometheus_http_requests_total", "prometheus_build_info"),
    }

    def series(samples: list[Sample]) -> dict[tuple[object, ...], list[float]]:
        found: dict[tuple[object, ...], list[float]] = {}
        for s in samples:
            found.setdefault((s.design, s.instance, s.name, s.labels), []).append(s.value)
        return found

    began_s = time.time()
    async with asyncio.timeout(PATIENCE_S):
        seen: set[str] = set()
        while len(seen) < 5:  # it takes up to 5 s until it begins
            await asyncio.sleep(0.1)
            seen = {s.instance for s in await real.samples(began_s, time.time(), {"up"})}
    start_s = time.time()
    await asyncio.sleep(SECONDS)
    end_s = start_s + SECONDS
    mine = series(await collector.samples(start_s, end_s, names))
    theirs = series(await real.samples(start_s, end_s, names))
    for found in (mine, theirs):
        for key in [k for k in found if k[2] == "pg_stat_activity_count" and own_zero(*k[2:])]:
            del found[key]
    # Commands that only one of the two had asked for at the time are not in both.
    whole = {key for key in theirs if len(theirs[key]) >= SECONDS - 1}
    assert {str(key) for key in whole - mine.keys()} == set()
    assert {str(key) for key in mine.keys() - theirs.keys()} == set()
    assert {name for _, _, name, _ in whole} == names
    assert all(abs(len(mine[key]) - len(theirs[key])) <= 1 for key in whole)
    still = [key for key in whole if key[2] in ("up", "pg_database_connection_limit", "pg_up")]
    assert {key: set(mine[key]) for key in still} == {key: set(theirs[key]) for key in still}
    assert set(theirs["pool", "pool/gone-1", "up", ()]) == {0.0}
