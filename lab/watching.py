"""What a run says for those who watch it, beside what it measures for its verdict.

Once a second: the watched metrics as they were last scraped; now and then: the designs' `why`
sentences with the numbers so far, and the lab's own part of the CPU. None of it may disturb the
run: what is long is computed in a thread and given a small part of the time, and an error here
ends the watching, never the run.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from lab.checkers import Facts, explain, metric_per_second
from lab.checkers.sentences import UNMEASURED
from lab.engines import Cluster, Usage
from lab.gathered import LAB_PART, Gathered, watched_metrics
from lab.history import History, Op, Sample
from lab.load.session import LoadSession
from lab.messages import Explained, Noted, Observed, Sampled

EVERY_S = 1.0
_OBSERVED_EVERY_S = 5.0

_SHARE_OF_TIME = 0.03
"""Sentences are computed from all operations so far; they take at most this part of one core."""

_EXPLAINED_EVERY_S = 2.0

_LATE_S = 3.0
"""How far back each look at the samples goes: a scrape takes a moment to be readable."""

_SHOWN = 3
"""So many failed operations of a design and second are told with all their fields."""


def failures(finished: Sequence[Op]) -> tuple[dict[str, int], tuple[Op, ...]]:
    """What was not ok among finished operations: counts by reason, and the latest few."""
    bad = [op for op in finished if op.outcome != "ok"]
    latest = sorted(bad, key=lambda op: op.done_s)[-_SHOWN:]
    return dict(Counter(op.error for op in bad)), tuple(_rounded(op) for op in latest)


def _rounded(op: Op) -> Op:
    times = {name: round(getattr(op, name), 4) for name in ("due_s", "sent_s", "done_s")}
    return op._replace(**times)


async def watch(state: Gathered, cluster: Cluster, session: LoadSession) -> None:
    """Tell what there is to see until cancelled; whatever goes wrong is told once and no more."""
    try:
        await asyncio.sleep(max(0.0, -state.clock.now()))
        async with asyncio.TaskGroup() as tasks:
            samples: dict[Sample, None] = {}
            tasks.create_task(_sampled(state, cluster, samples))
            tasks.create_task(_explained(state, session, samples))
            tasks.create_task(_observed(state, cluster))
    except Exception as error:  # noqa: BLE001 - watching is never a reason to fail a run
        state.emit(Noted(state.clock.now(), f"no live metrics any more: {_first(error)}"))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _sampled(state: Gathered, cluster: Cluster, samples: dict[Sample, None]) -> None:
    """Collect what was scraped; emit the watched metrics' latest values."""
    names = watched_metrics(state.experiment)
    while names:
        now_s = state.clock.now()
        found = await cluster.samples(
            state.clock.unix(now_s - _LATE_S), state.clock.unix(now_s), names
        )
        zero_s = state.clock.zero_unix_s
        fresh = [sample._replace(at_s=sample.at_s - zero_s) for sample in found]
        samples.update(dict.fromkeys(fresh))
        if state.experiment.watch:
            state.emit(Sampled(round(now_s, 2), latest(state, fresh, now_s)))
        await asyncio.sleep(EVERY_S)


def latest(
    state: Gathered, samples: Sequence[Sample], now_s: float
) -> dict[str, tuple[float | None, ...]]:
    """By design, each watched metric's last known value, in the order of `watch`."""
    facts = Facts(state.experiment, History(samples=list(samples)))
    first = max(0, int(now_s - _LATE_S))
    found = {}
    for design in state.experiment.designs:
        columns = [
            metric_per_second(facts, name, design)[first : int(now_s) + 1]
            for name in state.experiment.watch
        ]
        found[design] = tuple(
            next((v for v in reversed(column) if v is not None), None) for column in columns
        )
    return found


async def _explained(state: Gathered, session: LoadSession, samples: Mapping[Sample, None]) -> None:
    """From the first fault on: what the `why` sentences say with the numbers so far."""
    if not any(design.why for design in state.experiment.designs.values()):
        return
    first_s = min((f.at_s for f in state.experiment.faults), default=0.0)
    await asyncio.sleep(max(0.0, first_s + 2 * EVERY_S - state.clock.now()))
    while True:
        begun_s = time.monotonic()
        history = History(ops=list(session.ops), samples=list(samples))
        facts = Facts(state.experiment, history, faults=tuple(state.faults.values()))
        whys = await asyncio.to_thread(explain, facts)
        known = {name: text for name, text in whys.items() if UNMEASURED not in text}
        state.emit(Explained(round(state.clock.now(), 2), known))
        took_s = time.monotonic() - begun_s
        await asyncio.sleep(max(_EXPLAINED_EVERY_S, took_s / _SHARE_OF_TIME))


async def _observed(state: Gathered, cluster: Cluster) -> None:
    """The lab's own CPU since the load began, beside that of everything."""
    before = state.usage[0]
    while True:
        await asyncio.sleep(_OBSERVED_EVERY_S)
        after = await cluster.usage()
        own = Usage(time.process_time(), 0, 0)
        spent = spent_s(before, {**after, f"{LAB_PART}orchestrator": own})
        total_s = sum(spent.values())
        own_s = sum(cpu_s for name, cpu_s in spent.items() if name.startswith(LAB_PART))
        now_s = state.clock.now()
        if total_s > 0 and now_s > 0:
            state.emit(Observed(round(now_s, 2), own_s / total_s, own_s / now_s))


def spent_s(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """CPU-seconds by name between two readings; one that restarted counts from its new start."""
    spent = {}
    for name, usage in after.items():
        since = before[name].cpu_s if name in before else 0.0
        spent[name] = usage.cpu_s - since if usage.cpu_s >= since else usage.cpu_s
    return spent
