"""One scheduled fault, from before it starts until it is proved gone.

    look (before) … planned time: inject, look until it bit … end: heal, look until it is gone

Whom it breaks, where it does not say so by name (`leader of etcd`), is found out before looking,
and again in the moment of injecting; what was found then is kept until it is healed.

Whatever happens in between (an exception, Ctrl-C, a cancelled task), healing is tried, with a
deadline of its own, and is not cut short by a second cancellation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace

from lab.clock import Clock
from lab.engines import Cluster
from lab.errors import EngineError, HealError, InjectionError, LabError
from lab.experiment import ScheduledFault
from lab.faults.base import Fault, Observation
from lab.faults.together import Together
from lab.record import FaultRecord
from lab.selection import NOTHING_FOUND, Found
from lab.targets import RESOLVERS, Choice

HEAL_DEADLINE_S = 20.0
"""How long healing and its proof may take; starting a crashed database is the slowest of them."""

_LOOK_EVERY_S = 0.05

_PATIENCE_S = 0.5
"""How long to ask who somebody is, when an answer is lost on a busy machine."""

_FRESH_S = 0.1
"""How old the answer may be when it is injected: asking takes 5 to 50 ms, and this is on time."""

_SETTLES_S = 5.0
"""How long a system that has just come up may take until it knows who is who."""

_AIMS = 5
"""How often whom it is about may change between looking and injecting."""

Changed = Callable[[FaultRecord, str], None]
"""Told at each stage: `before`, `injected`, `bit`, `healed`, `gone`, `problem`.

A fault with a condition is also `waiting`, and `never` where it did not come true.
"""


async def _to_the_end(work: Coroutine[object, object, None]) -> None:
    """Await `work` even when this task is cancelled meanwhile; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except LabError:
            break
    task.result()
    if cancelled:
        raise cancelled


async def prepare(scheduled: ScheduledFault, cluster: Cluster) -> None:
    """Let a fault look whether it can be hosted; what refuses it says which one it was.

    Raises:
        LabError: it cannot, with the fault, the reason and what to do.
    """
    what, kind = scheduled.fault.describe(), scheduled.fault.kind
    try:
        await scheduled.fault.prepare(cluster)
    except LabError as error:
        if what not in error.message:
            error.message = f"{what}: {error.message}"
        error.remedy = error.remedy or f"docs/reference/faults.md says what `{kind}` needs"
        raise


async def check_targets(scheduled: ScheduledFault, cluster: Cluster, seed: int) -> None:
    """Find out whom a fault is about while all is well, so that a run without an answer is refused.

    Raises:
        EngineError: nobody is that.
    """
    try:
        choice = Choice(seed, scheduled.name, RESOLVERS)
        await choice.make(cluster, scheduled.fault.selections(), _SETTLES_S)
    except InjectionError as error:
        raise EngineError(
            f"{scheduled.name}: {error.message}",
            remedy="docs/reference/targets.md says who can tell",
        ) from error


class Injection:
    """Runs one scheduled fault against a cluster and keeps its record."""

    def __init__(
        self,
        scheduled: ScheduledFault,
        cluster: Cluster,
        clock: Clock,
        changed: Changed,
        *,
        seed: int = 1,
        together: Together | None = None,
    ) -> None:
        self._choice = Choice(seed, scheduled.name, RESOLVERS)
        self._scheduled = scheduled
        self._fault: Fault = scheduled.fault.placed(scheduled.name, scheduled.for_s)
        self._cluster = cluster
        self._clock = clock
        self._changed = changed
        self._found: Found = NOTHING_FOUND
        self._together = together or Together()
        start = (scheduled.at_s, str(getattr(scheduled, "when", None)))
        self._turn = self._together.join(self._fault, cluster.deployment, start)
        self.record = FaultRecord(
            name=scheduled.name,
            kind=self._fault.kind,
            text=self._fault.describe(),
            targets=self._fault.targets(cluster.deployment),
            planned_s=scheduled.at_s,
        )

    async def run(self) -> FaultRecord:
        """Its whole life; nobody waits for its turn any more when that is over.

        Raises:
            HealError, InjectionError: as `_run` says.
        """
        try:
            return await self._run()
        finally:
            self._turn.over.set()

    async def _run(self) -> FaultRecord:
        """Wait for its time, inject, hold, heal, prove both; returns the finished record.

        Raises:
            HealError: it could not be healed, or not proved gone.
            InjectionError: it could not be injected (it was healed nevertheless).
        """
        await self._sleep_until(self._scheduled.at_s - self._fault.look_s)
        if self._fault.selections():
            with suppress(InjectionError):  # whoever it is then counts
                await self._aim()
        else:
            await self._look_before()
        if self._fault.selections():
            await self._sleep_until(self._scheduled.at_s - _FRESH_S)
            await self._aim()
        try:
            await self._fault.get_ready(self._cluster)
            if not await self._begin():
                return self.record
            with self._together.holding(self._fault, self.record.name, self._cluster.deployment):
                try:
                    await self._together.wait(self._turn)
                    await self._inject()
                    await self._hold()
                finally:
                    await _to_the_end(self._heal())
        finally:
            await _to_the_end(self._fault.release())
        return self.record

    async def _aim(self) -> None:
        """Find out whom it is about; look at those before, unless that was done."""
        for _ in range(_AIMS):
            texts = self._fault.selections()
            found = await self._choice.make(self._cluster, texts, _PATIENCE_S)
            if self._fault.made and found == self._found:
                return
            self._found = found
            self._fault = self._fault.bound(found)
            targets = self._fault.targets(self._cluster.deployment)
            self.record = replace(self.record, text=self._text(), targets=targets)
            await self._look_before()
        raise InjectionError(f"{self.record.text}: that changes faster than it can be looked at")

    async def _look_before(self) -> None:
        before = await self._fault.observe(self._cluster)
        self._note("before", before=before.text)
        if before.in_effect:
            raise InjectionError(
                f"{self.record.text}: already so before injecting ({before.text}), nothing to prove"
            )

    def _text(self) -> str:
        """What is broken, in words."""
        return self._fault.text()

    async def _begin(self) -> bool:
        """Wait until it is due; False when it never will be."""
        await self._sleep_until(self._scheduled.at_s)
        return True

    async def _hold(self) -> None:
        """Wait until it has to be healed."""
        await self._sleep_until(self._end_s)

    @property
    def _end_s(self) -> float:
        """When it has to be healed at the latest."""
        return self._scheduled.until_s

    async def _inject(self) -> None:
        self._note("injected", injected_s=self._clock.now())
        try:
            await self._fault.inject(self._cluster)
        finally:
            self._turn.over.set()
        confirmed_s = self._clock.now()
        seen = await self._look(wanted=True, until_s=self._end_s)
        self._note("bit", confirmed_s=confirmed_s, during=seen.text, bit=seen.in_effect)

    async def _heal(self) -> None:
        if self._fault.permanent:
            self._note("gone", healed=True, after="stays, as written")
            return
        try:
            async with asyncio.timeout(HEAL_DEADLINE_S):
                self._note_course()
                self._note("healed", healed_s=self._clock.now())
                await self._fault.heal(self._cluster)
                until_s = self._clock.now() + HEAL_DEADLINE_S / 2
                seen = await self._look(wanted=False, until_s=until_s)
        except TimeoutError:
            self._note("problem", after="healing did not end in time")
            raise HealError(
                f"{self.record.text}: healing took over {HEAL_DEADLINE_S:.0f} s"
            ) from None
        except LabError as error:
            self._note("problem", after=error.message)
            raise HealError(f"{self.record.text}: could not be healed: {error.message}") from error
        self._note("gone", gone_s=self._clock.now(), after=seen.text, healed=seen.gone)
        if not seen.gone:
            raise HealError(f"{self.record.text}: healed, yet still in effect ({seen.text})")

    def _note_course(self) -> None:
        """What a fault that changes over its time has measured of that until now."""
        if seen := self._fault.course():
            bit = self.record.bit and seen.in_effect
            self.record = replace(self.record, during=seen.text, bit=bit)

    async def _look(self, *, wanted: bool, until_s: float) -> Observation:
        """Look until the fault is (not) in effect, or the time is over; the last look counts."""
        while True:
            seen = await self._fault.observe(self._cluster)
            if (
                seen.in_effect if wanted else seen.gone
            ) or self._clock.now() + _LOOK_EVERY_S >= until_s:
                return seen
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _sleep_until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._clock.now()))

    def _note(self, stage: str, **changes: object) -> None:
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]
        self._changed(self.record, stage)
