"""Faults that start or end by a condition: in each design for itself.

    look (before) … when: what it waits for … inject at once, look until it bit
                  … until: what it waits for, or its time is over … heal, look until it is gone

One fault breaks all designs at once when its time is known; what happens *in* a design happens in
each at its own moment. So a fault with conditions is as many faults as there are designs that it
breaks, each of which sees only what is that design's own, and one for what all designs share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from lab.clock import Clock
from lab.engines import Cluster
from lab.experiment import Experiment, ScheduledFault
from lab.faults.injection import Changed, Injection
from lab.faults.together import Together
from lab.plan import Deployment
from lab.triggers import NeverCameError, Watcher


def injections(
    experiment: Experiment,
    cluster: Cluster,
    clock: Clock,
    changed: Changed,
    *,
    watcher: Watcher,
    together: Together,
) -> Iterator[Injection]:
    """Everything that has to be run for the faults of an experiment."""
    common: dict[str, Any] = {"seed": experiment.seed, "together": together}
    for scheduled in experiment.faults:
        if scheduled.triggered:
            for design in designs_of(scheduled, cluster.deployment):
                about: dict[str, Any] = {"watcher": watcher, "design": design}
                yield Triggered(scheduled, cluster, clock, changed, **about, **common)
        else:
            yield Injection(scheduled, cluster, clock, changed, **common)


def designs_of(scheduled: ScheduledFault, deployment: Deployment) -> tuple[str, ...]:
    """The designs that a fault breaks something of; "" among them for what they share."""
    owners = {i.name: i.design for i in deployment.instances}
    owners |= {end.name: end.design for end in deployment.ends}
    targets = scheduled.fault.targets(deployment)
    return tuple(dict.fromkeys(owners[target] for target in targets if target in owners))


def part_of(cluster: Cluster, design: str) -> Cluster:
    """The cluster with every ability that it has, and only one design's own instances and links.

    Its attributes are the cluster's own, so that `isinstance` with a protocol goes on to work.
    """
    names = (name for name in dir(cluster) if not name.startswith("_"))
    part = SimpleNamespace(**{name: getattr(cluster, name) for name in names})
    whole = cluster.deployment
    part.deployment = replace(
        whole,
        instances=tuple(i for i in whole.instances if i.design == design),
        ends=tuple(end for end in whole.ends if end.design == design),
    )
    return cast("Cluster", part)


class Triggered(Injection):
    """One scheduled fault in one design."""

    def __init__(
        self,
        scheduled: ScheduledFault,
        cluster: Cluster,
        clock: Clock,
        changed: Changed,
        *,
        watcher: Watcher,
        design: str,
        seed: int = 1,
        together: Together | None = None,
    ) -> None:
        # A copy of its own: faults keep what they have done until they undo it.
        own = scheduled.model_copy(update={"fault": scheduled.fault.model_copy(deep=True)})
        part = part_of(cluster, design)
        super().__init__(own, part, clock, changed, seed=seed, together=together)
        self._watcher = watcher
        self.record = replace(self.record, design=design)
        self.record = replace(self.record, text=self._text())

    def _text(self) -> str:
        """With the design in front."""
        design = self.record.design
        return f"{design}: {super()._text()}" if design else super()._text()

    async def _begin(self) -> bool:
        """Wait for its condition, or for its time."""
        scheduled, when = self._scheduled, self._scheduled.when
        if when is None:
            return await super()._begin()
        self._note("waiting", started_by=f"waits for {when}")
        latest_s = scheduled.at_s + scheduled.within_s
        try:
            seen = await self._watcher.wait(when, self.record.design, scheduled.at_s, latest_s)
        except NeverCameError as error:
            self._note("never", started_by="", never=str(error))
            return False
        self.record = replace(self.record, triggered_s=seen.at_s, started_by=seen.text)
        if self._fault.selections():  # whoever it is by now
            await self._aim()
        return True

    async def _hold(self) -> None:
        """Wait for the condition that ends it, until its time is over."""
        until, end_s = self._scheduled.until, self._end_s
        if until is None:
            await self._sleep_until(end_s)
            return
        from_s = self.record.injected_s or self._scheduled.at_s
        try:
            seen = await self._watcher.wait(until, self.record.design, from_s, end_s)
            ended_by = seen.text
        except NeverCameError as error:
            ended_by = f"its time was over: {error}"
        self.record = replace(self.record, ended_by=ended_by)

    @property
    def _end_s(self) -> float:
        started_s = self.record.injected_s
        at_s = self._scheduled.at_s if started_s is None else started_s
        return self._scheduled.end_s(at_s)
