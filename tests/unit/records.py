"""A realistic record of a run, from a small queue model: three designs, 35 s at 60/s, one fault.

The numbers come out of the model below, so that charts, tables and sentences have something true
to say; no test compares them with a real system.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from lab.checkers import check, per_second
from lab.errors import ExitCode
from lab.experiment import Design, Experiment, Keys, Load, Phase, Request, ScheduledFault
from lab.history import Event, History, Op, Sample
from lab.messages import (
    FaultChanged,
    Finished,
    Hello,
    Message,
    Noted,
    PhaseStarted,
    Progress,
    Second,
)
from lab.plan import deploy
from lab.record import Cost, FaultRecord, Lag, Record
from lab.topology import Link, Service, Topology
from lab.verdict import judge

FAULT_S = (8.0, 20.0)
DURATION_S = 35.0
RATE_PER_S = 60.0
DESIGNS = ("connection-per-request", "pool-default", "pool-sized")

_WHYS = (
    "60/s holding a connection for {p50 during fault} need 25; 17 to be had, {errors} refused.",
    "15 connections serve 37/s of 60/s: {in_flight} queue, and p50 grows to {p50 during fault}.",
    "One round trip per request: 60/s × {p50 during fault} = 12 connections, 15 to be had.",
)


class SlowLink:
    """The least that an `Experiment` needs of a fault."""

    kind = "latency"

    def describe(self) -> str:
        return "latency 200 ms on app -> db"


def topology() -> Topology:
    """Client -> lb -> app (2) -> db and cache."""
    services = {
        "lb": Service("lb", image="haproxy:3.0"),
        "app": Service("app", image="shortener:dev", replicas=2),
        "db": Service("db", image="postgres:17", shared=True),
        "cache": Service("cache", image="valkey:8"),
    }
    links = (Link("lb", "app", 8000), Link("app", "db", 5432), Link("app", "cache", 6379))
    return Topology("url-shortener", services, links, Link("client", "lb", 8080))


def experiment(designs: tuple[str, ...] = DESIGNS) -> Experiment:
    """The experiment of the record; its first design is the one that breaks."""
    keys = Keys(kind="zipf", n=1000)
    load = Load(rate=RATE_PER_S, requests=(Request(name="follow", path="/{key}", keys=keys),))
    shape = topology()
    good = ("ok >= 99% during fault", "p99 < 1s during fault", "recovered within 5s")
    all_designs = {
        DESIGNS[0]: Design(
            topology=shape, load=load, breaks=("ok >= 95% during fault",),
            why=_WHYS[0],
        ),
        DESIGNS[1]: Design(
            topology=shape, load=load, env={"app": {"DB_POOL": "15"}},
            breaks=("p99 < 1s during fault",), holds=("recovered within 8s",),
            why=_WHYS[1],
        ),
        DESIGNS[2]: Design(
            topology=shape, load=load, env={"app": {"DB_POOL": "15", "DB_RESET": "off"}},
            holds=good, pays=("increase(app_session_leaks_total) > 0",),
            why=_WHYS[2],
        ),
    }  # fmt: skip
    return Experiment(
        name="reddit-hug",
        question="What happens to a URL shortener when its database is 200 ms further away?",
        phase="scalability",
        designs={name: all_designs[name] for name in designs},
        phases=(
            Phase(name="baseline", start_s=0, end_s=8),
            Phase(name="fault", start_s=8, end_s=20),
            Phase(name="recovery", start_s=20, end_s=35),
        ),
        faults=(ScheduledFault(fault=SlowLink(), at_s=8, for_s=12, name="latency"),),
        watch=("app_db_connections", "app_requests_total"),
        lesson="A pool is a queue with a size.\n\nLittle's law, L = λW, decides whether it is long "
        "enough: 60/s × 0.41 s needs 25 connections, and 17 are to be had.",
        costs="The sized pool keeps session state: one user's `SET` leaks into the next request.",
        sources=(
            "Little 1961, A Proof for the Queuing Formula L = λW",
            "https://www.pgbouncer.org/",
        ),
        path="experiments/reddit-hug.yaml",
    )


def record(designs: tuple[str, ...] = DESIGNS) -> Record:
    """The whole record, as predicted, everything healed."""
    what = experiment(designs)
    history = History(events=_events())
    for name in designs:
        history.ops.extend(_ops(name))
        history.samples.extend(_samples(name))
    costs = {
        DESIGNS[0]: Cost(5, 9.4, 310 * 2**20, 2100),
        DESIGNS[1]: Cost(5, 7.6, 268 * 2**20, 2100),
        DESIGNS[2]: Cost(5, 6.9, 271 * 2**20, 2100),
    }
    unjudged = Record(
        run_id="20261122-174501-7f3a",
        experiment=what,
        engine="docker",
        started_unix_s=1795369501.0,
        seed=what.seed,
        history=history,
        verdict=judge([], []),
        exit_code=ExitCode.AS_PREDICTED,
        faults=(fault(what),),
        costs={name: costs[name] for name in designs},
        lags={name: Lag(0.0001, 0.0004, 0.0031, 2100, 2100) for name in designs},
        links={end.name: 900 for end in deploy(what).ends},
        observer_share=0.083,
        observer_cores=0.12,
        versions={"chaos-lab": "0.1.0", "docker": "20.10.24", "toxiproxy": "2.12.0"},
        host={"cores": "2", "memory": "24 GiB", "system": "Linux 6.1"},
        timings={"up_s": 6.4, "load_s": 35.1, "down_s": 2.2},
    )
    return check(unjudged)


def fault(what: Experiment) -> FaultRecord:
    """The fault as it went: it bit, and it healed."""
    ends = deploy(what).ends_of("app -> db")
    return FaultRecord(
        name="latency",
        kind="latency",
        text="latency 200 ms on app -> db",
        targets=tuple(end.name for end in ends),
        planned_s=8.0, injected_s=8.004, confirmed_s=8.21, healed_s=20.006, gone_s=20.02,
        before="round trip 0.4 ms", during="round trip 203 ms", after="round trip 0.4 ms",
        bit=True, healed=True,
    )  # fmt: skip


def unknown(base: Record) -> Record:
    """The same run, had its fault not bitten."""
    dull = replace(base.faults[0], during="round trip 0.4 ms", bit=False)
    return check(replace(base, faults=(dull,)))


def missed(base: Record) -> Record:
    """The same run, had a prediction of the first design been wrong."""
    first, *others = base.verdict.claims
    wrong = replace(first, true=True, measured="99.4 %", value=0.994, first_broken_s=None)
    verdict = judge([wrong, *others], base.verdict.guards)
    return replace(base, verdict=verdict, exit_code=ExitCode.NOT_AS_PREDICTED)


def unhealed(base: Record) -> Record:
    """The same run, had its fault not come off."""
    stuck = replace(base.faults[0], gone_s=None, after="round trip 203 ms", healed=False)
    residue = ("toxic latency on pool-sized.app-1.to.db-1.5432",)
    code = ExitCode.HEALING_INCOMPLETE
    return check(replace(base, faults=(stuck,), residue=residue), exit_code=code)


def stream(base: Record) -> Iterator[Message]:
    """The messages of that run, in the order in which it would have told them."""
    what, bare = (
        base.experiment,
        replace(base.faults[0], confirmed_s=None, healed_s=None, gone_s=None),
    )
    yield Hello(what, deploy(what), "docker", "Docker 20.10 answers", base.run_id, base.seed)
    yield Progress("6 services starting")
    yield Progress("db-1 healthy, waiting for app-1, app-2")
    yield Progress("9 links answer through their proxies")
    windows = {name: per_second(what, base.history, name) for name in what.designs}
    for second in range(int(DURATION_S)):
        yield from (PhaseStarted(p.name, p.start_s) for p in what.phases if p.start_s == second)
        yield from (FaultChanged(bare, "before") for _ in range(second == 7))
        if second == 8:
            yield FaultChanged(bare, "injected")
            yield FaultChanged(base.faults[0], "bit")
        if second == 20:
            yield FaultChanged(base.faults[0], "healed")
            yield FaultChanged(base.faults[0], "gone")
        yield from (Second(name, windows[name][second]) for name in what.designs)
    yield Noted(DURATION_S, "load off, everything healed")
    yield Finished(base)


def _events() -> list[Event]:
    return [
        Event(0.0, "phase", "baseline", {"end_s": 8.0}),
        Event(8.0, "phase", "fault", {"end_s": 20.0}),
        Event(8.21, "inject", "latency 200 ms on app -> db", {"name": "latency"}),
        Event(20.0, "phase", "recovery", {"end_s": 35.0}),
        Event(20.006, "heal", "latency 200 ms on app -> db", {"name": "latency"}),
        Event(35.0, "end", "load off"),
    ]


def _arrivals() -> list[float]:
    random, at_s, due = Random(7), 0.0, []
    while (at_s := at_s + random.expovariate(RATE_PER_S)) < DURATION_S:
        due.append(at_s)
    return due


def _ops(design: str) -> list[Op]:
    """Servers with slots: a refused connection fails at once, a queued one waits."""
    random = Random(f"{design} 11")
    free = [0.0] * (15 if design != DESIGNS[0] else 17)
    ops = []
    for due_s in _arrivals():
        slow = FAULT_S[0] <= due_s < FAULT_S[1]
        trips = 1 if design == DESIGNS[2] else 2
        hold_s = trips * (0.2 if slow else 0.0) + random.lognormvariate(-4.8, 0.25)
        slot = min(range(len(free)), key=free.__getitem__)
        start_s = max(due_s, free[slot])
        error, outcome, status, done_s = "", "ok", 200, start_s + hold_s
        if design == DESIGNS[0] and free[slot] > due_s:
            error, outcome, status = "http 500", "fail", 500
            done_s = due_s + random.lognormvariate(-4.2, 0.2)
        elif start_s - due_s > 4.0:
            error, outcome, status, done_s = "timeout", "info", 0, due_s + 5.0
        else:
            free[slot] = done_s
        ops.append(
            Op(design, "follow", "k1", due_s, due_s + 0.0002, done_s, outcome, status, 1, error)
        )
    return ops


def _samples(design: str) -> list[Sample]:
    found, total, leaks = [], 0.0, 0.0
    for second in range(int(DURATION_S)):
        slow = FAULT_S[0] <= second < FAULT_S[1]
        peak = {DESIGNS[0]: 17, DESIGNS[1]: 15, DESIGNS[2]: 12}[design]
        total += 30
        leaks += 6 if design == DESIGNS[2] else 0
        for replica in (1, 2):
            instance = f"{design}/app-{replica}"
            used = peak / 2 if slow else 1.0
            found.append(Sample(second + 0.3, design, instance, "app_db_connections", (), used))
            found.append(Sample(second + 0.3, design, instance, "app_requests_total", (), total))
            found.append(
                Sample(second + 0.3, design, instance, "app_session_leaks_total", (), leaks)
            )
    return found
