"""Faults of servers with data, each on real ones: statements, transactions, promotions, signals."""

from __future__ import annotations

import asyncio
import time

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.engines import Cluster
from lab.errors import EngineError, InjectionError
from lab.experiment import ScheduledFault
from lab.faults import KINDS, Injection
from lab.faults.commands import run
from lab.faults.psql import ask
from lab.plan import Instance
from lab.topology import File, Link
from tests.contract.database import CASES, LASTING, TRUST, deployment, postgres, valkey
from tests.contract.engines import MODES, up_on
from tests.contract.proving import bites_heals_and_leaves_nothing, is_healed_when_cancelled
from tests.contract.test_faults import settled

_STANDBY = """
set -e
install -d -m 700 -o postgres -g postgres "$PGDATA"
until setpriv --reuid=postgres --regid=postgres --init-groups \
    pg_basebackup -h db -U postgres -D "$PGDATA" -R -X stream -c fast; do sleep 0.3; done
exec docker-entrypoint.sh postgres
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
async def cluster(request, tmp_path_factory):
    """A PostgreSQL, a Valkey, and a copy of that which follows it."""
    found = deployment(
        postgres("db"),
        valkey("cache"),
        valkey("copy", "--replicaof", "cache", "6379"),
        links=(Link("copy", "cache", 6379),),
    )
    async with up_on(request.param, found, tmp_path_factory.mktemp("run")) as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory):
    """A PostgreSQL and a standby that streams from it, over a link."""
    folder = tmp_path_factory.mktemp("init")
    allow = folder / "replication.sh"
    allow.write_text('echo "host replication all all trust" >>"$PGDATA/pg_hba.conf"\n')
    standby = postgres("standby", entrypoint=("bash", "-c", _STANDBY), environment=TRUST)
    init = File(allow, "/docker-entrypoint-initdb.d/replication.sh")
    found = deployment(postgres("db", files=(init,)), standby, links=(Link("standby", "db", 5432),))
    async with up_on("docker", found, tmp_path_factory.mktemp("run"), patience_s=60) as up:
        yield up


def instance(cluster: Cluster, host: str) -> Instance:
    """By its host."""
    return next(i for i in cluster.deployment.instances if i.host == host)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", sorted(CASES))
async def test_a_fault_bites_heals_and_leaves_nothing(cluster, kind):
    """As every fault."""
    await bites_heals_and_leaves_nothing(CASES[kind], cluster)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", sorted(CASES))
async def test_cancelling_a_fault_heals_it(cluster, kind):
    """As every fault."""
    await is_healed_when_cancelled(CASES[kind], cluster)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_open_transaction_holds_its_locks_until_it_is_healed(cluster):
    """A statement that needs the table waits; afterwards nothing of the transaction is there."""
    db = instance(cluster, "db-1")
    await ask(cluster, db, "create table held (x int)", 5)
    fault = KINDS["long_transaction"].model_validate(
        {"service": "db", "run": "insert into held values (1); lock table held"}
    )
    read = "set lock_timeout = '300ms'; select count(*) from held"
    try:
        await fault.inject(cluster)
        text = await settled(fault, cluster, in_effect=True)
        assert text.startswith("idle in transaction for ")
        with pytest.raises(InjectionError, match="lock timeout"):
            await ask(cluster, db, read, 5)
        assert [left.partition(":")[0] for left in await cluster.residue()] == [db.name]
    finally:
        await fault.heal(cluster)
    assert await ask(cluster, db, read, 5) == "0"
    assert (await fault.observe(cluster)).text == "no such transaction"
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_statements_that_fail_are_an_error_with_the_server_s_words(cluster):
    """Never a fault that did nothing."""
    fault = KINDS["sql"].model_validate({"service": "db", "run": "drop table nowhere"})
    with pytest.raises(InjectionError, match='table "nowhere" does not exist'):
        await fault.inject(cluster)
    assert not (await fault.observe(cluster)).in_effect


@pytest.mark.asyncio(loop_scope="module")
async def test_a_signal_that_nobody_catches_is_refused_before_its_time(cluster):
    """PostgreSQL has no handler for WINCH; sent, it would do nothing and prove nothing."""
    fault = KINDS["signal"].model_validate({"service": "app", "signal": "USR2"})
    with pytest.raises(EngineError, match="app-1 does not catch it"):
        await fault.prepare(cluster)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_signal_makes_the_server_read_its_settings(cluster):
    """PostgreSQL, told by HUP: a setting that was written down takes effect, in the same life."""
    db = instance(cluster, "db-1")
    await ask(cluster, db, "alter system set work_mem = '7MB'", 5)
    life = (await cluster.state(db)).started_s
    assert await ask(cluster, db, "show work_mem", 5) != "7MB"
    fault = KINDS["signal"].model_validate({"service": "db"})
    await fault.prepare(cluster)
    await fault.inject(cluster)
    await settled(fault, cluster, in_effect=True)
    async with asyncio.timeout(5):
        while await ask(cluster, db, "show work_mem", 5) != "7MB":
            pass
    await fault.heal(cluster)
    assert (await cluster.state(db)).started_s == life


@pytest.mark.asyncio(loop_scope="module")
async def test_a_prepared_fault_is_on_time(cluster):
    """What costs time is done before; what is measured is from the plan to the server's word."""
    fault = KINDS["sql"].model_validate(
        {"service": "db", "run": "create table timed as select clock_timestamp() as at"}
    )
    clock = Clock.starting_in(0)
    scheduled = ScheduledFault(fault=fault, at_s=1.0, for_s=1.0, name="timed")
    record = await Injection(scheduled, cluster, clock, lambda *_: None).run()
    assert record.bit
    db = instance(cluster, "db-1")
    at_s = float(await ask(cluster, db, "select extract(epoch from at) from timed", 5))
    late_s = at_s - clock.zero_unix_s - record.planned_s
    print(f"{cluster.engine}: {late_s * 1e3:.1f} ms after its time")
    assert -0.005 < late_s < 0.06
    await ask(cluster, db, "drop table timed", 5)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_valkey_that_is_promoted_takes_writes_and_follows_nobody(cluster):
    """Last here, because it stays: before, it refuses them."""
    copy = instance(cluster, "copy-1")
    write = ["valkey-cli", "set", "key", "value"]
    assert "READONLY" in (await run(cluster, copy, write, 5)).output
    fault = KINDS["promote"].model_validate(LASTING["promote"].model_dump())
    assert (await fault.observe(cluster)).text == "standby"
    await fault.get_ready(cluster)
    await fault.inject(cluster)
    await fault.inject(cluster)
    seen = await fault.observe(cluster)
    assert (seen.in_effect, seen.text) == (True, "primary")
    assert (await run(cluster, copy, write, 5)).output.strip() == "OK"
    assert await cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_postgres_standby_that_is_promoted_takes_writes(pair):
    """It streams before, over its link; refuses writes until promoted; the time it took is told."""
    db, standby = instance(pair, "db-1"), instance(pair, "standby-1")
    await ask(pair, db, "create table kept as select 42 as x", 5)
    async with asyncio.timeout(10):
        while await ask(pair, standby, "select to_regclass('kept') is not null", 5) != "t":
            pass
    with pytest.raises(InjectionError, match="read-only transaction"):
        await ask(pair, standby, "insert into kept values (1)", 5)
    await pair.kill(db)
    fault = KINDS["promote"].model_validate({"service": "standby"})
    clock = Clock.starting_in(0)
    scheduled = ScheduledFault(fault=fault, at_s=2.5, for_s=3.0, name="failover")
    record = await Injection(scheduled, pair, clock, lambda *_: None).run()
    took_s = record.confirmed_s - record.planned_s
    print(f"promoted {took_s * 1e3:.0f} ms after plan")
    assert (record.bit, record.before, record.during) == (True, "standby", "primary")
    assert record.after == "stays, as written"
    assert took_s < 2
    await ask(pair, standby, "insert into kept values (1)", 5)
    assert await ask(pair, standby, "select sum(x) from kept", 5) == "43"


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_that_does_not_run_cannot_be_promoted(pair):
    """An error that names it, in no more time than that takes."""
    db = instance(pair, "db-1")
    await pair.kill(db)
    fault = KINDS["promote"].model_validate({"service": "db"})
    began_s = time.monotonic()
    with pytest.raises(EngineError, match="db-1"):
        await fault.inject(pair)
    assert time.monotonic() - began_s < 5
