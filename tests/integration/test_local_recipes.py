"""Every recipe starts its real server: on its own address, healthy, and again after a SIGKILL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis

from lab.engines.local.recipes import recipe_for
from lab.engines.local.recipes.postgres_template import Template
from lab.engines.local.recipes.wheels import cache_folder
from lab.errors import EngineError
from lab.loading import load_topology
from lab.plan import Instance
from lab.topology import File, Healthcheck, Service
from tests.integration.local_processes import (
    Host,
    Process,
    http,
    killed_and_back,
    listening,
    run,
    started,
    write,
)

TOPOLOGIES = Path(__file__).resolve().parents[2] / "topologies"
SHORTENER = load_topology(
    TOPOLOGIES / "url-shortener" / "compose.replicated.yaml", "url-shortener"
).services


async def connect(host: Host, **settings: object) -> asyncpg.Connection:
    address, port = host.where("db", 5432)
    given = {"user": "postgres", "timeout": 5, **settings}
    return await asyncpg.connect(host=address, port=port, **given)


async def test_postgres_keeps_its_data_over_a_kill(host: Host) -> None:
    """With the sample topology's settings: seeded, 20 connections, only on its own address."""
    host.give("db", 5432)
    async with started(host, "db", SHORTENER["db"]) as db:
        await db.ready()
        assert listening(db.pid) == {host.where("db", 5432)}
        connection = await connect(host, user="app", database="links")
        assert await connection.fetchval("SELECT count(*) FROM links") == 1000
        assert await connection.fetchval("SHOW max_connections") == "20"
        await connection.execute("INSERT INTO links (url) VALUES ('https://kept.example')")
        await connection.close()
        await killed_and_back(db)
        connection = await connect(host, user="app", database="links")
        found = await connection.fetchval("SELECT count(*) FROM links WHERE url LIKE '%kept%'")
        await connection.close()
        assert found == 1
        pid = (host.folder / "db" / "data" / "postmaster.pid").read_text().split()[0]
        assert not own_segments(int(pid)), "memory that a killed server would leave behind"


def own_segments(creator: int) -> list[str]:
    """System V memory that a process made and that will outlive it."""
    table = Path("/proc/sysvipc/shm")
    rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
    marked_for_removal = 0o1000
    return [
        row[1] for row in rows if int(row[4]) == creator and not int(row[2], 8) & marked_for_removal
    ]


async def test_postgres_takes_the_image_s_settings(host: Host) -> None:
    """User, password, database, init files in order, a port of its own, a setting by command."""
    host.give("db", 6000)
    write(host.folder, "2.sql", "INSERT INTO t VALUES ('sql')")
    write(
        host.folder,
        "1.sh",
        'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "CREATE TABLE t (x text)"',
    )
    files = [
        File(host.folder / name, f"/docker-entrypoint-initdb.d/{name}")
        for name in ("1.sh", "2.sql")
    ]
    service = Service(
        "db",
        image="postgres:18",
        command=("-p", "6000", "-c", "work_mem=7MB"),
        environment={"POSTGRES_USER": "me", "POSTGRES_PASSWORD": "s3 cret", "POSTGRES_DB": "shop"},
        files=tuple(files),
        healthcheck=Healthcheck(
            ("CMD-SHELL", "psql -h localhost -p 6000 -U me -d shop -c 'SELECT x FROM t' || exit 1")
        ),
    )
    async with started(host, "db", service) as db:
        await db.ready()
        address, port = host.where("db", 6000)
        settings = {"host": address, "port": port, "user": "me", "database": "shop"}
        connection = await asyncpg.connect(**settings, password="s3 cret")
        assert await connection.fetch("SELECT x FROM t") == [("sql",)]
        assert await connection.fetchval("SHOW work_mem") == "7MB"
        assert await connection.fetchval("SHOW data_checksums") == "on"
        await connection.close()
        for password in ("wrong", None):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(**settings, password=password)


async def test_postgres_says_why_its_set_up_failed(folder: Path) -> None:
    """The author's SQL is wrong: psql's own words, and no template is kept."""
    host = Host(folder, "ports")
    host.give("db", 5432)
    seed = write(folder, "seed.sql", f"SELECT no_such_thing_{os.getpid()};")
    service = replace(SHORTENER["db"], files=(File(seed, "/docker-entrypoint-initdb.d/seed.sql"),))
    before = set(cache_folder().glob("*"))
    with pytest.raises(EngineError, match=f'column "no_such_thing_{os.getpid()}" does not exist'):
        await recipe_for(service).install(Instance("", service, 1), host.place("db"), run)
    assert set(cache_folder().glob("postgres-*")) <= before


async def test_postgres_from_a_template_is_up_quickly(host: Host) -> None:
    """The second time nothing is initialised: a copy, and a start."""
    host.give("db", 5432)
    await recipe_for(SHORTENER["db"]).install(
        Instance("", SHORTENER["db"], 1), host.place("db"), run
    )
    other = Host(host.folder / "again", host.mode)
    other.folder.mkdir(mode=0o755)
    other.give("db", 5432)
    ran: list[str] = []

    async def noting(program, timeout_s):
        ran.append(program.argv[1])
        return await run(program, timeout_s)

    began_s = time.perf_counter()
    program = await recipe_for(SHORTENER["db"]).install(
        Instance("", SHORTENER["db"], 1), other.place("db"), noting
    )
    process = Process(program, other.folder / "db.log")
    try:
        await process.start()
        await process.ready()
    finally:
        await process.kill()
    assert not ran
    assert time.perf_counter() - began_s < 5


def test_a_template_is_another_when_anything_in_it_is(tmp_path: Path) -> None:
    """Version, settings, arguments, and each init file's name and content."""
    seed = tmp_path / "seed.sql"
    seed.write_text("one")
    template = Template("18", {"POSTGRES_DB": "a"}, tmp_path, ())
    names = [template.name]
    names.append(replace(template, version="19").name)
    names.append(replace(template, env={"POSTGRES_DB": "b"}).name)
    names.append(replace(template, arguments=("--no-data-checksums",)).name)
    seed.write_text("two")
    names.append(template.name)
    seed.rename(tmp_path / "a.sql")
    names.append(template.name)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("image", ["valkey/valkey:8.1", "redis:7"])
async def test_valkey_keeps_its_data_over_a_kill(host: Host, image: str) -> None:
    """`redis-server` as the command too, and both clients in healthchecks."""
    host.give("cache", 6379)
    server = "redis-server" if image.startswith("redis") else "valkey-server"
    client = "redis-cli" if image.startswith("redis") else "valkey-cli"
    service = Service(
        "cache",
        image=image,
        command=(server, "--appendonly", "yes", "--appendfsync", "always"),
        healthcheck=Healthcheck(("CMD-SHELL", f"{client} -h localhost -p 6379 ping | grep PONG")),
    )
    address, port = host.where("cache", 6379)
    async with started(host, "cache", service) as cache:
        await cache.ready()
        assert listening(cache.pid) == {(address, port)}
        async with redis.Redis(host=address, port=port) as connection:
            await connection.set("kept", "yes")
        await killed_and_back(cache)
        async with redis.Redis(host=address, port=port) as connection:
            assert await connection.get("kept") == b"yes"


async def test_valkey_with_a_file_a_password_and_a_replica(host: Host) -> None:
    """A configuration file's port and leader are translated; the client logs in."""
    host.give("leader", 7000)
    host.give("follower", 6379)
    conf = write(
        host.folder, "my.conf", "port 7000\nrequirepass secret\nrepl-diskless-sync-delay 0\n"
    )
    replica = write(host.folder, "r.conf", "replicaof leader 7000\nmasterauth secret\n")
    ping = Healthcheck(("CMD", "valkey-cli", "-a", "secret", "--no-auth-warning", "-e", "ping"))
    one = Service(
        "leader",
        image="valkey/valkey:9",
        command=("valkey-server", "/etc/my.conf"),
        files=(File(conf, "/etc/my.conf"),),
        healthcheck=ping,
    )
    other = Service(
        "follower",
        image="valkey/valkey:9",
        command=("/etc/r.conf",),
        files=(File(replica, "/etc/r.conf"),),
        healthcheck=Healthcheck(
            ("CMD-SHELL", "valkey-cli info replication | grep -q master_link_status:up")
        ),
    )
    async with started(host, "leader", one) as leader, started(host, "follower", other) as follower:
        await leader.ready()
        await follower.ready()
        assert listening(leader.pid) == {host.where("leader", 7000)}


async def test_the_url_shortener_end_to_end(host: Host) -> None:
    """HAProxy -> three apps -> PostgreSQL and Valkey, each found by the name in its code."""
    host.give("db", 5432)
    host.give("cache", 6379)
    apps = ["app-1", "app-2", "app-3"]
    for name in apps:
        host.give(name, 8000)
    host.give("lb", 8000, 8404)
    async with started(host, "db", SHORTENER["db"]) as db:
        await db.ready()
        async with started(host, "cache", SHORTENER["cache"]) as cache:
            await cache.ready()
            one, two, three = (started(host, name, SHORTENER["app"]) for name in apps)
            async with one as first, two as second, three as third:
                for process in (first, second, third):
                    await process.ready()
                assert listening(first.pid) == {host.where("app-1", 8000)}
                async with started(host, "lb", SHORTENER["lb"]) as lb:
                    await lb.ready()
                    assert listening(lb.pid) == {host.where("lb", 8000), host.where("lb", 8404)}
                    for _ in apps:
                        status, answer = await http(host.where("lb", 8000), "/7")
                        assert status == 302
                        assert "location: https://example.com/page/7" in answer
                    _, metrics = await http(host.where("lb", 8404), "/metrics")
                    for name in apps:
                        up = f'haproxy_server_status{{proxy="apps",server="{name}",state="UP"}} 1'
                        assert up in metrics
                    await killed_and_back(lb)
                    await killed_and_back(first)
                    assert (await http(host.where("lb", 8000), "/7"))[0] == 302


async def test_the_shop_end_to_end(host: Host) -> None:
    """Httpx finds `inventory`; two services listen on port 8000 at once."""
    shop = load_topology(TOPOLOGIES / "shop" / "compose.yaml", "shop").services
    host.give("inventory", 8000)
    host.give("app", 8000)
    async with (
        started(host, "inventory", shop["inventory"]) as inventory,
        started(host, "app", shop["app"]) as app,
    ):
        await inventory.ready()
        await app.ready()
        status, answer = await http(host.where("app", 8000), "/buy/7", "POST")
        assert (status, answer.endswith("reserved 7\n")) == (200, True)
        await inventory.kill()
        assert (await http(host.where("app", 8000), "/buy/7", "POST"))[0] == 503


async def test_slots_answer(host: Host) -> None:
    """The smallest sample service; its healthcheck runs `python3 -SE`."""
    slots = load_topology(TOPOLOGIES / "slots" / "compose.yaml", "slots").services
    host.give("app", 8000)
    async with started(host, "app", slots["app"]) as app:
        await app.ready()
        assert (await http(host.where("app", 8000), "/work"))[0] == 200
        await killed_and_back(app)
        assert (await http(host.where("app", 8000), "/work"))[0] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever runs this is an ordinary user already")
@pytest.mark.skipif(not shutil.which("unshare"), reason="no `unshare` to become another user")
def test_an_ordinary_user_can_do_it_too() -> None:
    """The longest of these tests again, as a user who is not root (and may not become another)."""
    as_nobody = ("unshare", "-U", "--map-user=65534", "--map-group=65534")
    if subprocess.run([*as_nobody, "true"], check=False).returncode:
        pytest.skip("this kernel lets nobody make user namespaces")
    test = f"{Path(__file__)}::test_the_url_shortener_end_to_end[addresses]"
    again = subprocess.run(
        [*as_nobody, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        capture_output=True,
        text=True,
        check=False,
        cwd=TOPOLOGIES.parent,
    )
    assert again.returncode == 0, again.stdout[-3000:]
    assert "1 passed" in again.stdout
