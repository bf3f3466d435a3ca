"""Who is who, asked of real systems, before a failover and after it."""

from __future__ import annotations

import asyncio
import time

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.errors import EngineError, InjectionError
from lab.experiment import ScheduledFault
from lab.faults import KINDS, Injection, Together, check_targets
from lab.targets import RESOLVERS, Choice
from tests.contract import mesh, replicated
from tests.contract.engines import ENGINES, MODES, up_on

ANSWER_S = 0.1
"""How long the whole question may take where everybody answers."""


def choice(seed: int = 1, name: str = "fault") -> Choice:
    """As an injection of that name makes it."""
    return Choice(seed, name, RESOLVERS)


async def who(cluster, text: str) -> set[str]:
    """Whom a text means now, by their hosts."""
    found = await choice().make(cluster, [text])
    return {name.rpartition("/")[2] for name in found[text]}


async def becomes(cluster, text: str, wanted) -> set[str]:
    """Ask until the answer is as wanted, for as long as an election may take."""
    said: object = None
    async with asyncio.timeout(15):
        while True:
            try:
                said = await who(cluster, text)
            except InjectionError as error:
                said = error
            else:
                if wanted(said):
                    return said
            await asyncio.sleep(0.05)
    raise AssertionError(said)


def injection(cluster, fault, *, at_s=0.0, for_s=60.0, seed=1, together=None) -> Injection:
    """A fault that is called `fault`."""
    scheduled = ScheduledFault(fault=fault, at_s=at_s, for_s=for_s, name="fault")
    return Injection(
        scheduled, cluster, Clock.starting_in(0), lambda *_: None, seed=seed, together=together
    )


async def until_bit(one: Injection) -> asyncio.Task:
    """Run it, and return once it was seen to bite."""
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(15):
        while not one.record.bit:
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    return task


async def cancelled(task: asyncio.Task) -> None:
    """Break it off, which heals it."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
async def valkey(request, tmp_path_factory):
    """A Valkey with two copies."""
    async with up_on(request.param, replicated.valkey(), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def etcd(tmp_path_factory):
    """Three members of etcd."""
    async with up_on("docker", replicated.etcd(), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
async def test_valkey_is_found_before_and_after_a_failover(valkey):
    """Promoting a copy makes two masters, which is no answer, and then another one."""
    assert await who(valkey, "master of kv*") == await who(valkey, "primary of kv*") == {"kv-1"}
    assert await who(valkey, "replica of kv*") == {"kv-copy-1", "kv-copy-2"}
    one, other, old = (
        valkey.deployment.instance(f"copies/{host}") for host in ("kv-copy-1", "kv-copy-2", "kv-1")
    )
    try:
        await replicated.tell(valkey, one, "valkey-cli", "replicaof", "no", "one")
        with pytest.raises(InjectionError, match=r"more than one .* in copies: kv-1, kv-copy-1"):
            await who(valkey, "master of kv*")
        fault = KINDS["pause"](service="master of kv*")
        scheduled = ScheduledFault(fault=fault, at_s=0, for_s=1, name="fault")
        with pytest.raises(EngineError, match="more than one says that it is master"):
            await check_targets(scheduled, valkey, seed=1)
        await replicated.tell(valkey, old, "valkey-cli", "replicaof", "10.255.255.1", "6379")
        assert await who(valkey, "master of kv*") == {"kv-copy-1"}
        assert await who(valkey, "replica of kv*") == {"kv-1", "kv-copy-2"}
    finally:
        await replicated.tell(valkey, old, "valkey-cli", "replicaof", "no", "one")
        said = await replicated.tell(valkey, other, "valkey-cli", "config", "get", "replicaof")
        master = said.split()[-2:]  # as this one finds it on this engine
        await replicated.tell(valkey, one, "valkey-cli", "replicaof", *master)
    assert await who(valkey, "master of kv*") == {"kv-1"}


@pytest.mark.asyncio(loop_scope="module")
async def test_asking_is_quick(valkey):
    """The answer is fresh when a fault is injected with it, and injecting is not late for it."""
    took_s = []
    for _ in range(5):
        began_s = time.monotonic()
        await who(valkey, "master of kv*")
        took_s.append(time.monotonic() - began_s)
    print("asked in", sorted(took_s))
    assert min(took_s) < ANSWER_S


@pytest.mark.asyncio(loop_scope="module")
async def test_a_link_to_whoever_it_is_breaks_and_heals(valkey):
    """`kv-copy -> master of kv`: its ends are in the record, and nothing else is touched."""
    one = injection(valkey, KINDS["latency"](link="one of kv-copy -> master of kv", delay=0.2))
    task = await until_bit(one)
    (target,) = one.record.targets
    assert target in ("copies/kv-copy-1 -> kv-1:6379", "copies/kv-copy-2 -> kv-1:6379")
    host = target.split()[0].rpartition("/")[2]
    assert one.record.text == (
        f"latency 200 ms on one of kv-copy (= {host}) -> master of kv (= kv-1)"
    )
    (broken,) = await valkey.proxies.toxics()
    assert broken == next(e.proxy for e in valkey.deployment.ends if e.name == target)
    await cancelled(task)
    assert one.record.healed
    assert await valkey.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_is_no_answer(valkey):
    """A frozen master says nothing; the run has then earned nothing, and says why."""
    first = await until_bit(injection(valkey, KINDS["pause"](service="master of kv*")))
    with pytest.raises(InjectionError, match=r"nobody says that it is master .*2 of 3 instances"):
        await injection(valkey, KINDS["pause"](service="master of kv*")).run()
    await cancelled(first)
    assert await who(valkey, "master of kv*") == {"kv-1"}


@pytest.mark.asyncio(loop_scope="module")
async def test_two_faults_of_a_kind_on_one_target_are_refused_when_they_meet(valkey):
    """Only the run knows that they are one; healing the second would heal the first."""
    together = Together()
    fault, other = "kv-copy -> master of kv", "2 of kv-copy -> kv"
    first = injection(valkey, KINDS["refuse"](link=fault), at_s=0.8, together=together)
    second = injection(valkey, KINDS["refuse"](link=other), at_s=0.9, together=together)
    tasks = [asyncio.create_task(one.run()) for one in (first, second)]
    done, _ = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    assert done == {tasks[1]}
    with pytest.raises(InjectionError, match=r"`fault` is on .* at that time too"):
        await tasks[1]
    assert len(await valkey.proxies.disabled()) == 2
    await cancelled(tasks[0])
    assert first.record.healed
    assert together._held == {}
    assert await valkey.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_fault_heals_whom_it_broke_although_another_one_leads_now(etcd):
    """The frozen leader is voted out, goes on, and finds that it follows."""
    leader = await who(etcd, "leader of etcd")
    assert len(leader) == 1
    assert len(await who(etcd, "follower of etcd")) == 2
    one = injection(etcd, KINDS["pause"](service="leader of etcd"))
    task = await until_bit(one)
    (old,) = leader
    assert one.record.targets == (f"three/{old}",)
    assert one.record.text == f"pause of leader of etcd (= {old})"
    new = await becomes(etcd, "leader of etcd", lambda said: said != leader)
    assert (await etcd.state(etcd.deployment.instance(f"three/{old}"))).status == "paused"
    await cancelled(task)
    assert one.record.healed
    assert (await etcd.state(etcd.deployment.instance(f"three/{old}"))).status == "running"
    followers = await becomes(etcd, "follower of etcd", lambda said: old in said)
    assert followers == {"etcd-1", "etcd-2", "etcd-3"} - new
    assert await etcd.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_an_isolated_leader_does_not_count(etcd):
    """It still takes itself for the leader, in an older term; the majority has another one."""
    before = await becomes(etcd, "leader of etcd", lambda said: len(said) == 1)
    one = injection(etcd, KINDS["partition"](isolate="leader of etcd"))
    task = await until_bit(one)
    (old,) = before
    assert len(one.record.targets) == 4
    assert all(old in target for target in one.record.targets)
    after = await becomes(etcd, "leader of etcd", lambda said: said != before)
    assert len(after) == 1
    await cancelled(task)
    assert one.record.healed
    assert await etcd.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_asking_etcd_is_quick(etcd):
    """Three members, one round trip each, side by side."""
    took_s = []
    for _ in range(5):
        began_s = time.monotonic()
        await who(etcd, "leader of etcd")
        took_s.append(time.monotonic() - began_s)
    print("asked in", sorted(took_s))
    assert min(took_s) < ANSWER_S


@pytest.mark.docker
async def test_postgres_is_found_before_and_after_a_failover(tmp_path):
    """Streaming replication; promoting the replica after the primary died moves the word."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    async with up_on("docker", replicated.postgres(scripts), tmp_path / "run") as cluster:
        assert await who(cluster, "primary of db*") == {"db-1"}
        assert await who(cluster, "replica of db*") == {"db-copy-1"}
        began_s = time.monotonic()
        await who(cluster, "primary of db*")
        print("asked in", time.monotonic() - began_s)
        task = await until_bit(injection(cluster, KINDS["kill"](service="primary of db*")))
        with pytest.raises(InjectionError, match="nobody says that it is primary"):
            await who(cluster, "primary of db*")
        copy = cluster.deployment.instance("streaming/db-copy-1")
        promote = ("psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "SELECT pg_promote()")
        await replicated.tell(cluster, copy, *promote)
        assert await who(cluster, "primary of db*") == {"db-copy-1"}
        await cancelled(task)
        old = cluster.deployment.instance("streaming/db-1")
        assert (await cluster.state(old)).status == "running"
        with pytest.raises(InjectionError, match="more than one says that it is primary"):
            await who(cluster, "primary of db*")


@pytest.mark.parametrize("engine", ENGINES)
async def test_chance_is_the_seeds(engine, tmp_path):
    """The same seed picks the same replicas in every run; other seeds pick others."""
    picks: dict[int, set[str]] = {}
    async with up_on(engine, mesh.deployment(), tmp_path) as cluster:
        for seed in range(12):
            one = injection(cluster, KINDS["pause"](service="2 of node"), seed=seed, for_s=0.1)
            record = await one.run()
            assert (record.bit, record.healed) == (True, True)
            again = await choice(seed).make(cluster, ["2 of node", "minority of node"])
            assert set(record.targets) == again["2 of node"]
            assert again["minority of node"] < again["2 of node"]
            picks[seed] = set(record.targets)
        assert await cluster.residue() == []
    assert all(len(pick) == 2 for pick in picks.values())
    assert len({frozenset(pick) for pick in picks.values()}) > 2
