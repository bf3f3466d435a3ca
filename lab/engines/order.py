"""In which order instances start: as `depends_on` says, and side by side where they may."""

from __future__ import annotations

import asyncio
import graphlib
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from lab.errors import EngineError, LabError
from lab.plan import Deployment, Instance
from lab.topology import Condition

T = TypeVar("T")
Step = Callable[[], Awaitable[None]]

_CONDITIONS: tuple[Condition, ...] = (
    "service_started",
    "service_healthy",
    "service_completed_successfully",
)


async def all_of(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Results of coroutines run side by side; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failed:
        expected, bugs = failed.split(LabError)
        if bugs or not expected:
            raise
        raise _first(expected) from None
    return [task.result() for task in tasks]


class Order:
    """Lets each instance start as soon as what it depends on has got that far.

    `jobs` are the names of instances that others wait to see completed: they end by themselves.

    Raises:
        EngineError: services wait for each other in a circle.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._reached = {
            (instance.name, condition): asyncio.Event()
            for instance in deployment.instances
            for condition in _CONDITIONS
        }
        self.jobs = {i.name for i in deployment.instances if self._is_job(i)}
        self._refuse_circles()

    async def start(self, instance: Instance, begin: Step, ready: Step, completed: Step) -> None:
        """Wait for what it depends on, begin, and wait until it is ready, or its job is done."""
        for service, condition in instance.service.depends_on.items():
            for other in self._needed(instance, service):
                await self._reached[other.name, condition].wait()
        await begin()
        self._reached[instance.name, "service_started"].set()
        if instance.name in self.jobs:
            await completed()
            self._reached[instance.name, "service_completed_successfully"].set()
        else:
            await ready()
        self._reached[instance.name, "service_healthy"].set()

    def _is_job(self, instance: Instance) -> bool:
        """Whether another service waits for its end."""
        return any(
            other.service.depends_on.get(instance.service.name) == "service_completed_successfully"
            and instance in self._needed(other, instance.service.name)
            for other in self._deployment.instances
        )

    def _needed(self, instance: Instance, service: str) -> list[Instance]:
        """The instances of a service that another one depends on: of its design, or shared."""
        everyone = self._deployment
        designs = ("", instance.design) if instance.design else (*everyone.designs, "")
        return [i for i in everyone.instances if i.service.name == service and i.design in designs]

    def _refuse_circles(self) -> None:
        """Services that wait for each other would wait for ever."""
        order = graphlib.TopologicalSorter(
            {
                i.name: [n.name for s in i.service.depends_on for n in self._needed(i, s)]
                for i in self._deployment.instances
            }
        )
        try:
            order.prepare()
        except graphlib.CycleError as error:
            circle = " -> ".join(name for name, _ in itertools.groupby(error.args[1]))
            raise EngineError(
                f"these depend on each other in a circle: {circle}",
                remedy="remove one of them from `depends_on` in the Compose file",
            ) from None


def _first(failed: BaseExceptionGroup[LabError]) -> LabError:
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
