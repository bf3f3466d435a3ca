"""What faults of resources do to real services: no room on a disk, no file descriptors."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import pytest_asyncio

from lab.errors import EngineError, UsageError
from lab.faults import KINDS, Fault
from lab.plan import Instance, deploy_topology
from lab.topology import Healthcheck, Link, Service, Topology
from tests.contract import tiny
from tests.contract.engines import ENGINES, Tiny, up, up_on

DATA = "/var/lib/postgresql/data"

# /write puts 4 KB into /data/file and says how that went, /delete takes 256 KB away again, /exit
# ends it when there is no room.
WRITER = tiny.SERVER.replace(
    "        data = os.environ['NAME'].encode()",
    """
        data = b'done'
        try:
            if self.path == '/delete':
                os.truncate('/data/file', 0)
            elif self.path == '/exists':
                data = str(os.path.exists('/data/file')).encode()
            else:
                with open('/data/file', 'ab') as file:
                    file.write(b'x' * 4096)
        except OSError as error:
            if self.path == '/exit':
                os._exit(9)
            data = error.strerror.encode()""",
)


def fault(kind: str, **settings: str) -> Fault:
    """A fault as a file writes it."""
    return KINDS[kind].model_validate(settings)


async def ask(lab: Tiny, instance: Instance, path: str) -> str:
    """What a server answers, past its link."""
    return (await lab.straight(instance, path))["body"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def docker(tmp_path_factory):
    """The store writes into a sized tmpfs, the cache into a sized volume, the other on the disk."""
    command = ("python", "-c", WRITER)
    deployment = tiny.deployment(
        store=tiny.server("store", command=command, tmpfs=("/data:size=8m",)),
        cache=tiny.server(
            "cache", command=command, volumes=("data:/data",), sized={"data": "size=8m"}
        ),
        other=tiny.server("other", command=command, tmpfs=("/scratch",)),
    )
    async with up("docker", deployment, tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def lab(request, tmp_path_factory):
    """The tiny deployment as it is, on both engines."""
    async with up(request.param, tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_cannot_write_and_then_it_can(docker: Tiny):
    """Real ENOSPC; what it deletes is taken as well; healing gives all of it back."""
    full = fault("disk_full", service="store", path="/data")
    await full.prepare(docker.cluster)
    for _ in range(64):
        assert await ask(docker, docker.store, "/write") == "done"
    before = await docker.cluster.room(docker.store, "/data", 4096)
    try:
        began_s = time.monotonic()
        await full.inject(docker.cluster)
        assert time.monotonic() - began_s < 1
        assert "0 B of 8 MiB free, no space left" in (await full.observe(docker.cluster)).text
        assert await ask(docker, docker.store, "/write") == "No space left on device"
        assert await ask(docker, docker.store, "/delete") == "done"
        await asyncio.sleep(0.3)
        assert (await full.observe(docker.cluster)).in_effect
        assert await ask(docker, docker.store, "/write") == "No space left on device"
        assert "holds" in "".join(await docker.cluster.residue())
    finally:
        await full.heal(docker.cluster)
    assert await ask(docker, docker.store, "/write") == "done"
    after = await docker.cluster.room(docker.store, "/data", 4096)
    assert after.free_bytes == before.free_bytes + 63 * 4096
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_some_room_may_be_left(docker: Tiny):
    """So much and no more: the service can take it, once."""
    full = fault("disk_full", service="store", path="/data", free="40960B")
    await ask(docker, docker.store, "/delete")
    try:
        await full.inject(docker.cluster)
        answers = [await ask(docker, docker.store, "/write") for _ in range(12)]
    finally:
        await full.heal(docker.cluster)
    assert answers == ["done"] * 10 + ["No space left on device"] * 2


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_full_disk_is_full_for_the_next_life_too(docker: Tiny):
    """The volume keeps its data over a crash, and the lab its hold; a tmpfs begins empty."""
    for kind, full in (
        ("cache", fault("disk_full", service="cache", path="/data")),
        ("store", fault("disk_full", service="store", path="/data")),
    ):
        instance = docker.cluster.deployment.instance(f"tiny/{kind}-1")
        assert await ask(docker, instance, "/write") == "done"
        try:
            await full.inject(docker.cluster)
            await docker.cluster.kill(instance)
            assert (await full.observe(docker.cluster)).text == "down"
            await docker.cluster.start(instance)
            await asyncio.sleep(0.2)
            assert (await full.observe(docker.cluster)).in_effect
            assert await ask(docker, instance, "/exists") == str(kind == "cache")
        finally:
            await full.heal(docker.cluster)
        assert await ask(docker, instance, "/write") == "done"
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_what_ends_for_want_of_room_is_no_news_and_comes_back(docker: Tiny):
    """Its death belongs to the fault, and healing starts it again."""
    full = fault("disk_full", service="store", path="/data")
    deaths = asyncio.ensure_future(anext(docker.cluster.deaths()))
    try:
        await full.inject(docker.cluster)
        with pytest.raises(EngineError):
            await ask(docker, docker.store, "/exit")
        async with asyncio.timeout(10):
            while (await docker.cluster.state(docker.store)).status == "running":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await asyncio.sleep(0.3)
        await full.heal(docker.cluster)
    assert await ask(docker, docker.store, "/write") == "done"
    assert not deaths.done()
    deaths.cancel()
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("service", "path", "why"),
    [
        ("other", "/data", "no /data"),
        ("other", "/tmp", "/tmp is on overlay, the disk of this machine"),
        ("other", "/etc/hosts", "the disk of this machine"),
        ("other", "/scratch", "/scratch is in memory without a size"),
        ("store", "/data/../tmp", "/tmp is on overlay"),
    ],
)
async def test_the_disk_of_the_machine_is_refused(docker: Tiny, service, path, why):
    """Before any load, with what to write instead; and nothing is filled when ordered anyway."""
    full = fault("disk_full", service=service, path=path)
    with pytest.raises((UsageError, EngineError), match=why) as caught:
        await full.prepare(docker.cluster)
    if isinstance(caught.value, UsageError):
        assert f'tmpfs: ["{path}:size=64m"]' in (caught.value.remedy or "")
    with pytest.raises(EngineError, match=why):
        await full.inject(docker.cluster)
    await full.heal(docker.cluster)
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_slow_disk_is_slow_for_the_service_alone(docker: Tiny):
    """Timed by the service's own fsync; also in its next life; not in its neighbour's."""
    slow = fault("slow_disk", service="other", write="500KB/s")
    other = docker.cluster.deployment.instance("tiny/other-1")

    async def sync_s(instance: Instance) -> float:
        code = (
            "import os, time; f = os.open('/tmp/f', os.O_CREAT | os.O_WRONLY); "
            "os.write(f, os.urandom(250_000)); t = time.monotonic(); os.fsync(f); "
            "print(time.monotonic() - t)"
        )
        words = ["python", "-c", code]
        _, output = await docker.cluster._health._run(docker.container(instance), words)
        return float(output)

    await slow.prepare(docker.cluster)
    assert await sync_s(other) < 0.25
    try:
        await slow.inject(docker.cluster)
        assert 0.3 < await sync_s(other) < 2
        assert await sync_s(docker.store) < 0.25
        await docker.cluster.kill(other)
        await docker.cluster.start(other)
        await asyncio.sleep(0.2)
        assert 0.3 < await sync_s(other) < 2
        seen = await slow.observe(docker.cluster)
        assert seen.in_effect
        assert "only 500000 bytes" in "".join(await docker.cluster.residue())
    finally:
        await slow.heal(docker.cluster)
    assert await sync_s(other) < 0.25
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_in_memory_is_on_no_disk(docker: Tiny):
    """Refused before any load, instead of limiting another disk."""
    with pytest.raises(EngineError, match="/data is on tmpfs, which is on no device"):
        await fault("slow_disk", service="store", path="/data", write="1MB/s").prepare(
            docker.cluster
        )


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_link_out_of_the_container_leads_nowhere(docker: Tiny):
    """An absolute link is followed from the container's root, not from the helper's."""
    container = docker.container(docker.store)
    link = ["ln", "-sfn", "/tmp", "/data/link"]
    assert (await docker.cluster._health._run(container, link))[0] == 0
    full = fault("disk_full", service="store", path="/data/link")
    with pytest.raises(UsageError, match="/tmp is on overlay"):
        await full.prepare(docker.cluster)


@pytest.mark.asyncio(loop_scope="module")
async def test_few_files_leave_connections_unanswered(lab: Tiny):
    """`accept` fails: the kernel takes connections, nobody answers; afterwards they are served."""
    limit = fault("fd_limit", service="store", files="4")
    await limit.prepare(lab.cluster)
    before = await lab.cluster.file_limits(lab.store)
    assert all(one.soft > 4 for one in before)
    try:
        await limit.inject(lab.cluster)
        assert (await lab.cluster.probe(lab.end("store"))).outcome == "silent"
        during = await lab.cluster.file_limits(lab.store)
        assert {(one.soft, one.hard) for one in during} == {(4, before[0].hard)}
        assert "only 4 files" in "".join(await lab.cluster.residue())
    finally:
        await limit.heal(lab.cluster)
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert [(o.soft, o.hard) for o in await lab.cluster.file_limits(lab.store)] == [
        (o.soft, o.hard) for o in before
    ]
    assert await lab.cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_the_next_life_may_have_as_few(lab: Tiny):
    """A process that is started under the fault gets it; afterwards it has what it had itself."""
    limit = fault("fd_limit", service="cache", files="64")
    cache = lab.cluster.deployment.instance("tiny/cache-1")
    before = {one.soft for one in await lab.cluster.file_limits(cache)}
    try:
        await limit.inject(lab.cluster)
        await lab.cluster.kill(cache)
        assert (await limit.observe(lab.cluster)).text == "down"
        await lab.cluster.start(cache)
        await asyncio.sleep(0.2)
        seen = await limit.observe(lab.cluster)
        assert seen.in_effect
        assert "at most 64 open files" in seen.text
    finally:
        await limit.heal(lab.cluster)
    assert {one.soft for one in await lab.cluster.file_limits(cache)} == before
    assert await lab.cluster.residue() == []


def postgres() -> Topology:
    """A database on a disk of 256 MB of its own."""
    db = Service(
        "db",
        image="postgres:17",
        command=("postgres", "-c", "max_wal_size=48MB", "-c", "min_wal_size=32MB"),
        environment={"POSTGRES_PASSWORD": "x"},
        healthcheck=Healthcheck(("CMD", "pg_isready", "-U", "postgres"), interval_s=0.2),
        volumes=(f"data:{DATA}",),
        sized={"data": "size=256m"},
    )
    return Topology("pg", {"db": db}, (), Link("client", "db", 5432))


@pytest.mark.docker
async def test_postgresql_has_no_space_left_and_serves_again(tmp_path):
    """The error that operators know, while reads go on; then a crash, and all data is there."""
    async with up_on("docker", deploy_topology(postgres()), tmp_path, patience_s=60) as cluster:
        any_cluster: Any = cluster
        db = cluster.deployment.instance("pg/db-1")

        async def sql(text: str) -> tuple[int, str]:
            container = any_cluster._handles.containers[db.name]
            words = ["psql", "-U", "postgres", "-Atc", text]
            code, output = await any_cluster._health._run(container, words)
            return code, output.strip()

        assert (await sql("create table t as select generate_series(1, 100) as n"))[0] == 0
        full = fault("disk_full", service="db", path=DATA)
        await full.prepare(cluster)
        try:
            await full.inject(cluster)
            code, output = await sql("insert into t select generate_series(1, 100000)")
            assert code == 1
            assert "No space left on device" in output
            assert await sql("select count(*) from t") == (0, "100")
        finally:
            await full.heal(cluster)
        assert (await sql("insert into t select generate_series(1, 100000)"))[0] == 0
        await any_cluster.kill(db)
        await any_cluster.start(db)
        assert await sql("select count(*) from t") == (0, "100100")
        assert await cluster.residue() == []
