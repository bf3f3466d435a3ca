"""Waits for conditions of one run, in one design or in any."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

from lab.claims import compare
from lab.clock import Clock
from lab.conditions import Condition
from lab.engines import Cluster
from lab.experiment import Experiment
from lab.plan import Instance
from lab.record import FaultRecord
from lab.triggers.events import Follower, Heard
from lab.triggers.readings import EVERY_S, reading
from lab.triggers.seen import NeverCameError, Seen
from lab.units import format_count

Wait = Coroutine[Any, Any, Seen]
Say = Callable[[], str]
"""What was seen instead, for a condition that never came true."""


class Watcher:
    """One for a run; told of every stage that a fault reaches.

    A design of "" stands for what all designs share: there a condition is true when it is so in any
    design. Otherwise a design's own instances and the shared ones count.
    """

    def __init__(self, experiment: Experiment, cluster: Cluster, clock: Clock) -> None:
        self._experiment, self._cluster, self._clock = experiment, cluster, clock
        self._reached: dict[tuple[str, str], list[tuple[str, float]]] = {}
        self._news = asyncio.Event()

    def note(self, record: FaultRecord, stage: str) -> None:
        """A fault has reached a stage, in its design."""
        key = (record.name, stage)
        self._reached.setdefault(key, []).append((record.design, self._clock.now()))
        self._news.set()
        self._news = asyncio.Event()

    async def check(self) -> None:
        """Ask every service whose events are waited for to keep them.

        Raises:
            EngineError: one does not report any.
        """
        for fault in self._experiment.faults:
            for condition in filter(None, (fault.when, fault.until)):
                if self._sort(condition) == "event":
                    await asyncio.gather(*(f.tell_it() for f in self._followers(condition, "")))

    async def wait(self, condition: Condition, design: str, from_s: float, until_s: float) -> Seen:
        """When it comes true from a moment on.

        An event counts when it happens in that time; a stage or a phase that has been reached
        before counts at once, and so does a metric that is already so.

        Raises:
            NeverCameError: it did not, until the other moment.
        """
        wait, instead = self._waiting(condition, design, from_s)
        try:
            async with asyncio.timeout(max(0.0, until_s - self._clock.now())):
                return await wait
        except TimeoutError:
            said = f"`{condition}` did not come true within {until_s - from_s:.3g} s"
            raise NeverCameError(f"{said}: {instead()}") from None

    def _sort(self, condition: Condition) -> str:
        faults = {fault.name for fault in self._experiment.faults}
        return condition.sort(faults, {phase.name for phase in self._experiment.phases})

    def _waiting(self, condition: Condition, design: str, from_s: float) -> tuple[Wait, Say]:
        match self._sort(condition):
            case "event":
                followers = self._followers(condition, design)
                return _event(condition, followers, from_s), lambda: _instead(followers)
            case "metric":
                last: list[float | None] = [None]
                return self._metric(condition, design, from_s, last), lambda: _last(last[0])
            case "stage":
                return self._stage(condition, design, from_s), lambda: "the fault never got there"
        return self._phase(condition), lambda: "the phase had not begun"

    def _instances(self, design: str) -> list[Instance]:
        every = self._cluster.deployment.instances
        return [i for i in every if not design or i.design in ("", design)]

    def _followers(self, condition: Condition, design: str) -> list[Follower]:
        return [
            Follower(self._cluster, self._clock, instance, condition.word)
            for instance in self._instances(design)
            if condition.subject in (instance.service.name, instance.host)
        ]

    async def _metric(
        self, condition: Condition, design: str, from_s: float, last: list[float | None]
    ) -> Seen:
        """Look every 200 ms; `last` holds what was last seen."""
        await self._until(from_s)
        designs = [design] if design else list(self._cluster.deployment.designs)
        while True:
            looked_s = self._clock.now()
            for one in designs:
                value = await reading(self._cluster, condition, self._scraped(condition, one))
                last[0] = last[0] if value is None else value
                if value is not None and compare(value, condition.operator, condition.value):
                    text = f"{condition.text} (it was {format_count(value)})"
                    return Seen(self._clock.now(), text)
            await self._until(looked_s + EVERY_S)

    def _scraped(self, condition: Condition, design: str) -> list[Instance]:
        return [
            instance
            for instance in self._instances(design)
            if instance.service.scrape
            and condition.subject in ("", instance.service.name, instance.host)
        ]

    async def _stage(self, condition: Condition, design: str, from_s: float) -> Seen:
        await self._until(from_s)
        while True:
            news = self._news
            for where, at_s in self._reached.get((condition.subject, condition.word), ()):
                if not design or where in ("", design):
                    return Seen(max(at_s, from_s), condition.text)
            await news.wait()

    async def _phase(self, condition: Condition) -> Seen:
        start_s = self._experiment.phase_named(condition.subject).start_s
        await self._until(start_s)
        return Seen(start_s, condition.text)

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._clock.now()))


async def _event(condition: Condition, followers: list[Follower], from_s: float) -> Seen:
    """The first event of any of them."""
    if not followers:
        await asyncio.sleep(math.inf)
    tasks: list[asyncio.Task[Heard]] = [asyncio.create_task(f.first(from_s)) for f in followers]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        heard = min(task.result() for task in done)
    finally:
        for task in tasks:
            task.cancel()
    return Seen(heard.at_s, f"{condition.text} of {heard.instance}")


def _instead(followers: list[Follower]) -> str:
    if not followers:
        return "there is no such instance"
    known = sorted({name for follower in followers for name in follower.known})
    return f"reported so far: {', '.join(known) or 'nothing'}"


def _last(value: float | None) -> str:
    return "there was no value" if value is None else f"last value {format_count(value)}"
