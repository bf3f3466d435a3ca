"""Creating and starting the containers of a run, side by side, in the order they depend on."""

from __future__ import annotations

import asyncio
import graphlib
import itertools
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lab.engines.docker.channel import Channel
from lab.engines.docker.cluster import Handles
from lab.engines.docker.containers import Config, files_archive, instance_config
from lab.engines.docker.daemon import Daemon
from lab.engines.docker.driver_channel import DockerDriver
from lab.engines.docker.health import Health
from lab.engines.docker.layout import Layout
from lab.engines.docker.parts import Part, Setting, driver
from lab.errors import EngineError, LabError
from lab.plan import Deployment, Instance
from lab.topology import Condition

T = TypeVar("T")


async def all_of(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Results of coroutines run side by side; the first failure ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except* LabError as failed:
        raise _first(failed) from None
    return [task.result() for task in tasks]


def _first(failed: BaseExceptionGroup[LabError]) -> BaseException:
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def create(daemon: Daemon, layout: Layout, name: str, config: Config, files: bytes) -> str:
    """Create a container with files in it and return its id."""
    api = daemon.api
    created = await daemon.call(
        api.create_container_from_config, config, layout.container_name(name)
    )
    container = str(created["Id"])
    if files:
        await daemon.call(api.put_archive, container, "/", files)
    return container


async def published_port(daemon: Daemon, container: str, port: int) -> str:
    """URL on this host of a port that a started container publishes."""
    found = await daemon.call(daemon.api.inspect_container, container)
    binding = found["NetworkSettings"]["Ports"][f"{port}/tcp"][0]
    return f"http://127.0.0.1:{binding['HostPort']}"


async def start_part(daemon: Daemon, layout: Layout, part: Part, handles: Handles) -> str:
    """Create and start one of the lab's own containers."""
    container = await create(daemon, layout, part.name, part.config, part.files)
    handles.containers[part.name] = container
    await daemon.call(daemon.api.start, container)
    return container


async def start_talking(
    daemon: Daemon, layout: Layout, part: Part, handles: Handles, logs: Path
) -> Channel:
    """Create and start a container of the lab that takes orders, and return its channel."""
    container = await create(daemon, layout, part.name, part.config, part.files)
    handles.containers[part.name] = container
    channel = await Channel.attach(daemon, container, part.name, logs / layout.log_name(part.name))
    try:
        await daemon.call(daemon.api.start, container)
    except BaseException:
        channel.close()
        raise
    return channel


async def start_driver(
    daemon: Daemon, setting: Setting, design: str, handles: Handles, logs: Path
) -> None:
    """Start the load driver of a design and learn its clock."""
    part = driver(setting, design)
    channel = await start_talking(daemon, setting.layout, part, handles, logs)
    handles.drivers[design] = found = DockerDriver(design, channel)
    await found.compare_clocks()


class Instances:
    """Brings the instances of a deployment up."""

    def __init__(
        self, daemon: Daemon, setting: Setting, images: Mapping[str, str], handles: Handles
    ) -> None:
        self._daemon = daemon
        self._setting = setting
        self._images = images
        self._handles = handles
        self._deployment = setting.deployment
        self._reached = {
            (instance.name, condition): asyncio.Event()
            for instance in self._deployment.instances
            for condition in _CONDITIONS
        }
        handles.jobs |= {i.name for i in self._deployment.instances if self._is_job(i)}
        _refuse_circles(self._deployment)

    async def create(self) -> None:
        """Create all containers; none is started yet."""
        await all_of(*(self._create(instance) for instance in self._deployment.instances))

    async def start(self, health: Health, links: asyncio.Future[Any]) -> None:
        """Start each as soon as what it depends on has got that far; wait until all are ready.

        Those that are clients of a link wait for `links` too.
        """
        await all_of(*(self._start(i, health, links) for i in self._deployment.instances))

    async def _create(self, instance: Instance) -> None:
        setting = self._setting
        config = instance_config(
            instance,
            self._images[instance.name],
            setting.deployment,
            setting.layout,
            setting.network,
            setting.labels,
        )
        files = await asyncio.to_thread(files_archive, instance.service.files)
        self._handles.containers[instance.name] = await create(
            self._daemon,
            setting.layout,
            instance.name,
            config,
            files if instance.service.files else b"",
        )

    async def _start(self, instance: Instance, health: Health, links: asyncio.Future[Any]) -> None:
        for service, condition in instance.service.depends_on.items():
            for other in needed(self._deployment, instance, service):
                await self._reached[other.name, condition].wait()
        if self._deployment.ends_out_of(instance.name):
            await asyncio.shield(links)
        container = self._handles.containers[instance.name]
        try:
            await self._daemon.call(self._daemon.api.start, container)
        except EngineError as error:
            raise EngineError(f"{instance.name} did not start: {error.message}") from error
        self._reached[instance.name, "service_started"].set()
        if instance.name in self._handles.jobs:
            await health.completed(instance, container)
            self._reached[instance.name, "service_completed_successfully"].set()
        else:
            await health.ready(instance, container)
        self._reached[instance.name, "service_healthy"].set()

    def _is_job(self, instance: Instance) -> bool:
        """Whether another service waits for its end."""
        return any(
            other.service.depends_on.get(instance.service.name) == "service_completed_successfully"
            and instance in needed(self._deployment, other, instance.service.name)
            for other in self._deployment.instances
        )


_CONDITIONS: tuple[Condition, ...] = (
    "service_started",
    "service_healthy",
    "service_completed_successfully",
)


def needed(deployment: Deployment, instance: Instance, service: str) -> list[Instance]:
    """The instances of a service that another one depends on: of its design, or shared."""
    designs = ("", instance.design) if instance.design else (*deployment.designs, "")
    return [i for i in deployment.instances if i.service.name == service and i.design in designs]


def _refuse_circles(deployment: Deployment) -> None:
    """Services that wait for each other would wait for ever."""
    order = graphlib.TopologicalSorter(
        {
            i.name: [n.name for s in i.service.depends_on for n in needed(deployment, i, s)]
            for i in deployment.instances
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
