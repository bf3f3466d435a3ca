"""A run, in order. The only module that knows it.

    plan -> engine up, healthy -> preflight -> load on -> baseline -> inject, prove it bit -> hold
    -> heal, prove it is gone -> ... -> load off, drain -> final reads -> engine down -> judge

Healing and taking down happen whatever went wrong: an exception, a failed claim, Ctrl-C.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from lab import __version__
from lab.checkers import latency_bounds, live_window
from lab.clock import Clock
from lab.engines import Cluster, Driver, Engine, Traffic, Usage, Wanted
from lab.errors import EngineError, LabError
from lab.experiment import Experiment
from lab.faults import Together, check_targets, injections, prepare, refusal
from lab.gathered import LAB_PART, Gathered, watched_metrics
from lab.history import Op
from lab.load.session import LoadSession
from lab.messages import (
    Carried,
    Emit,
    FaultChanged,
    Finished,
    Hello,
    Noted,
    PhaseStarted,
    Progress,
    Second,
)
from lab.metrics import LabMetrics
from lab.plan import deploy
from lab.record import FaultRecord, Record
from lab.triggers import Watcher
from lab.watching import failures, watch

LEAD_S = 1.0
"""Between the order to start and the first operation, so that every driver gets it in time."""

_LINK_LOOK_S = 1.5
"""Links are counted until this long before the baseline ends, ahead of every fault's probes."""

_SCRAPE_S = 1.0


async def run(
    experiment: Experiment,
    engine: Engine,
    engine_reason: str,
    wanted: Wanted,
    emit: Emit,
    stop: asyncio.Event,
) -> Record:
    """Run an experiment once and judge it.

    Args:
        experiment: what to run.
        engine: where to run it.
        engine_reason: why there, for the first line of output.
        wanted: the run's id and folder.
        emit: is told everything as it happens.
        stop: set it to break off: everything is healed, taken down and reported.

    Raises:
        EngineError: the system could not be brought up; nothing of it is left.
    """
    deployment = deploy(experiment)
    emit(Hello(experiment, deployment, engine.name, engine_reason, wanted.run_id, experiment.seed))
    metrics = LabMetrics(experiment, wanted.run_id, engine.name)
    state = Gathered(experiment, deployment, wanted.run_id, engine.name, emit, metrics)
    mark_s = time.monotonic()
    try:
        async with engine.up(deployment, wanted, lambda text: emit(Progress(text))) as cluster:
            state.timings["up_s"] = time.monotonic() - mark_s
            await _inside(state, cluster, stop)
            mark_s = time.monotonic()
    except LabError as error:
        if not state.history.ops:
            raise
        state.problem(error)
    state.timings["down_s"] = time.monotonic() - mark_s
    record = state.record()
    emit(Finished(record))
    return record


async def _inside(state: Gathered, cluster: Cluster, stop: asyncio.Event) -> None:
    """Everything between up and down."""
    _refuse_unhostable(state.experiment, cluster)
    await asyncio.gather(*(prepare(one, cluster) for one in state.experiment.faults))
    await _preflight(state, cluster)
    drivers = {design: await cluster.driver(design) for design in state.deployment.designs}
    session = LoadSession(state.experiment, drivers, lambda *tick: _second(state, *tick))
    try:
        await session.prepare(state.experiment.seed)
        state.usage = (await _usage(cluster), {})
        state.clock = Clock.starting_in(LEAD_S)
        await session.start(state.clock)
        await _timeline(state, cluster, session, stop)
        if state.interrupted or state.problems:
            await session.stop()
        await session.drained()
    except LabError as error:
        state.problem(error)
    finally:
        session.cancel()
        state.history.ops, state.lags = session.ops, session.lags
    await _final_reads(state, cluster, drivers)


def _refuse_unhostable(experiment: Experiment, cluster: Cluster) -> None:
    """Refuse, before any load, a fault that this engine cannot inject."""
    for scheduled in experiment.faults:
        if why := refusal(scheduled.fault, cluster):
            raise EngineError(why, remedy="choose another engine with --engine")


async def _preflight(state: Gathered, cluster: Cluster) -> None:
    """Every link must answer through its proxy, and every fault find its targets, before load."""
    ends = state.deployment.ends
    probes = await asyncio.gather(*(cluster.probe(end, 3.0) for end in ends))
    for end, probe in zip(ends, probes, strict=True):
        if probe.outcome != "answered":
            raise EngineError(
                f"the link {end.name} does not answer through its proxy: {probe.outcome}",
                remedy=f"look at the log of {end.server.name}: does it listen on {end.link.port}?",
            )
    state.emit(Progress(f"{len(ends)} links answer through their proxies"))
    for scheduled in state.experiment.faults:
        await check_targets(scheduled, cluster, state.experiment.seed)
    await Watcher(state.experiment, cluster, state.clock).check()


async def _timeline(
    state: Gathered, cluster: Cluster, session: LoadSession, stop: asyncio.Event
) -> None:
    """From the run's zero to the end of the load, with every fault in its place."""
    watcher = Watcher(state.experiment, cluster, state.clock)

    def changed(record: FaultRecord, stage: str) -> None:
        _fault_changed(state, record, stage)
        watcher.note(record, stage)

    together = Together()
    work: list[asyncio.Task[Any]] = [
        asyncio.create_task(injection.run())
        for injection in injections(
            state.experiment, cluster, state.clock, changed, watcher=watcher, together=together
        )
    ]
    helpers = [
        asyncio.create_task(helper)
        for helper in (
            _phases(state),
            _publish(state, cluster),
            _prove_links(state, cluster),
            _deaths(state, cluster),
            watch(state, cluster, session),
        )
    ]
    end = asyncio.create_task(asyncio.sleep(state.experiment.duration_s - state.clock.now()))
    stopped = asyncio.create_task(stop.wait())
    broken = asyncio.create_task(session.failed())
    try:
        await _until_over(state, end, stopped, broken, [*work, *helpers])
    finally:
        for task in (*helpers, end, stopped, broken):
            task.cancel()
        if state.interrupted or not end.done() or end.cancelled():
            for task in work:
                task.cancel()
        await _heal_all(state, [*work, *helpers])
        state.usage = (state.usage[0], await _usage(cluster))
        state.timings["load_s"] = state.clock.now()


async def _usage(cluster: Cluster) -> dict[str, Usage]:
    """What everything used so far, this process included."""
    own = Usage(time.process_time(), 0, 0)
    return {**await cluster.usage(), f"{LAB_PART}orchestrator": own}


async def _until_over(
    state: Gathered,
    end: asyncio.Task[None],
    stopped: asyncio.Task[Any],
    broken: asyncio.Task[None],
    others: list[asyncio.Task[Any]],
) -> None:
    """Wait for the end of the load, a stop, a driver that broke off, or an error of anything."""
    waiting: set[asyncio.Task[Any]] = {end, stopped, broken, *others}
    while not end.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if stopped in done:
            state.interrupted = "stopped from outside"
        if stopped in done or broken in done or any(task.exception() for task in done):
            return


async def _heal_all(state: Gathered, tasks: list[asyncio.Task[Any]]) -> None:
    """Wait until every fault is healed; keep each error, let none hide another."""
    bugs: list[Exception] = []
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, LabError):
            state.problem(result)
        elif isinstance(result, Exception):
            bugs.append(result)
    if bugs:
        raise ExceptionGroup("the lab itself failed", bugs)


async def _phases(state: Gathered) -> None:
    """Announce each phase when it begins."""
    for phase in state.experiment.phases:
        await asyncio.sleep(max(0.0, phase.start_s - state.clock.now()))
        state.metrics.phase(phase.name)
        state.event("phase", phase.name, phase.start_s, end_s=phase.end_s)
        state.emit(PhaseStarted(phase.name, phase.start_s))


async def _publish(state: Gathered, cluster: Cluster) -> None:
    """Once a second: what links carried, which phase and faults are on, for Prometheus."""
    while True:
        traffic = await cluster.traffic()
        state.metrics.traffic(traffic)
        carried = {name: link.bytes for name, link in traffic.items()}
        state.emit(Carried(round(state.clock.now(), 2), carried))
        await cluster.publish(state.metrics.exposition())
        await asyncio.sleep(_SCRAPE_S)


async def _prove_links(state: Gathered, cluster: Cluster) -> None:
    """Count what links carry in the baseline: traffic that bypasses its proxy shows as nothing."""
    await asyncio.sleep(max(0.0, -state.clock.now()))
    before = await cluster.traffic()
    baseline = state.experiment.phases[0]
    await asyncio.sleep(max(0.0, baseline.end_s - _LINK_LOOK_S - state.clock.now()))
    after = await cluster.traffic()
    none = Traffic(0, 0)
    state.links = {name: after[name].packets - before.get(name, none).packets for name in after}


async def _deaths(state: Gathered, cluster: Cluster) -> None:
    """Record every instance that ends although no fault ended it."""
    async for name, why in cluster.deaths():
        state.event("service", f"{name}: {why}", instance=name, unexpected=True)
        state.emit(Noted(state.clock.now(), f"{name} died: {why}", "problem"))


def _fault_changed(state: Gathered, record: FaultRecord, stage: str) -> None:
    """Keep a fault's newest record; its window goes into history and metrics."""
    state.faults[record.key] = record
    if stage == "bit":
        state.event("inject", record.text, record.confirmed_s, **_named(record))
    elif stage == "gone":
        state.event("heal", record.text, record.healed_s, **_named(record))
    if stage in ("bit", "gone"):
        state.metrics.fault(record.name, record.kind, record.targets, active=stage == "bit")
    state.emit(FaultChanged(record, stage))


def _named(record: FaultRecord) -> dict[str, str]:
    return {"name": record.name, "fault": record.kind, "design": record.design}


def _second(
    state: Gathered, design: str, t_s: float, tick: Mapping[str, Any], finished: list[Op]
) -> None:
    """One more second of a design is over: tell whoever watches."""
    window = live_window(t_s, tick, finished, latency_bounds(state.experiment, design))
    state.emit(Second(design, window, *failures(finished)))


async def _final_reads(state: Gathered, cluster: Cluster, drivers: Mapping[str, Driver]) -> None:
    """Metrics, versions, clocks and what is left over, read while everything still runs."""
    try:
        await asyncio.sleep(_SCRAPE_S)  # one more scrape, so that the last second is in
        start_s, end_s = state.clock.unix(-LEAD_S), state.clock.unix(state.clock.now())
        names = watched_metrics(state.experiment)
        state.history.samples = [
            sample._replace(at_s=sample.at_s - state.clock.zero_unix_s)
            for sample in await cluster.samples(start_s, end_s, names)
        ]
        state.versions = {"chaos-lab": __version__, **await cluster.versions()}
        state.residue = await _residue(state, cluster)
        if seen := await cluster.bypasses():
            text = "; ".join(seen.found) or "no connection went past its proxy"
            state.event("bypass", text, looks=seen.looks, found=list(seen.found))
        for design, driver in drivers.items():
            text = f"{design}: clock known to {driver.clock_uncertainty_s * 1000:.2f} ms"
            state.event("driver", text, design=design, offset_s=driver.clock_offset_s)
    except LabError as error:
        state.problem(error)
    state.event("end", "everything read")


async def _residue(state: Gathered, cluster: Cluster) -> list[str]:
    """What faults left behind, without what is meant to stay (a crash without restart)."""
    meant: set[str] = set()
    for scheduled in state.experiment.faults:
        went = [r for r in state.faults.values() if r.name == scheduled.name]
        if scheduled.fault.permanent:
            targets = [t for r in went if r.injected_s is not None for t in r.targets]
            ends = [
                e for t in targets for e in state.deployment.ends_into(state.deployment.instance(t))
            ]
            meant |= {*targets, *(end.name for end in ends)}
    return [left for left in await cluster.residue() if not any(left.startswith(m) for m in meant)]
