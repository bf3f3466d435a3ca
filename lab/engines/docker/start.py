"""Creating and starting the containers of a run, side by side, in the order they depend on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab.engines.docker.certificates import addresses_of
from lab.engines.docker.channel import Channel
from lab.engines.docker.containers import (
    Config,
    archive,
    clock_archive,
    files_archive,
    instance_config,
    joins,
)
from lab.engines.docker.daemon import Daemon
from lab.engines.docker.driver_channel import DockerDriver
from lab.engines.docker.handles import Handles
from lab.engines.docker.health import Health
from lab.engines.docker.layout import Layout
from lab.engines.docker.parts import driver
from lab.engines.docker.setting import Part, Setting
from lab.engines.order import Order, all_of
from lab.errors import EngineError
from lab.plan import Instance


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
        self._order = Order(setting.deployment)
        handles.jobs |= self._order.jobs

    async def create(self) -> None:
        """Create all containers; none is started yet."""
        await all_of(*(self._create(instance) for instance in self._deployment.instances))

    async def start(self, health: Health, links: asyncio.Future[Any]) -> None:
        """Start each as soon as what it depends on has got that far; wait until all are ready.

        Those that are clients of a link wait for `links` too.
        """
        await all_of(*(self._start(i, health, links) for i in self._deployment.instances))

    async def _create(self, instance: Instance) -> None:
        config = self._config(instance, self._images[instance.name])
        self._handles.containers[instance.name] = await self._made(instance, config)

    async def create_again(
        self,
        instance: Instance,
        image: str | None,
        volumes: Sequence[Mapping[str, Any]],
        address: IPv4Address,
        name: str,
    ) -> str:
        """A further container of an instance that has one, with its volumes; it is not started.

        `image` is an id, None for the instance's own; `volumes` as the daemon tells of them; `name`
        is the container's, which no other has.
        """
        setting = self._setting
        config = self._config(instance, image or self._images[instance.name])
        config["HostConfig"]["Mounts"] = [
            {
                "Type": "volume",
                "Source": volume["Name"],
                "Target": volume["Destination"],
                "ReadOnly": not volume["RW"],
            }
            for volume in volumes
        ]
        config |= joins(setting.network, address, setting.layout.alias(instance))
        return await self._made(instance, config, name)

    def _config(self, instance: Instance, image: str) -> Config:
        setting = self._setting
        return instance_config(
            instance,
            image,
            setting.deployment,
            setting.layout,
            setting.network,
            setting.labels,
        )

    async def _made(self, instance: Instance, config: Config, name: str = "") -> str:
        files = await asyncio.to_thread(files_archive, instance.service.files)
        container = await create(
            self._daemon,
            self._setting.layout,
            name or instance.name,
            config,
            files if instance.service.files else b"",
        )
        if clock := clock_archive(instance, self._deployment):
            await self._daemon.call(self._daemon.api.put_archive, container, "/", clock)
        addresses = addresses_of(instance, self._deployment, self._setting.layout)
        if found := self._handles.authority.files(instance, addresses):
            await self._daemon.call(self._daemon.api.put_archive, container, "/", archive(found))
        return container

    async def _start(self, instance: Instance, health: Health, links: asyncio.Future[Any]) -> None:
        container = self._handles.containers[instance.name]
        await self._order.start(
            instance,
            begin=lambda: self._begin(instance, container, links),
            ready=lambda: health.ready(instance, container),
            completed=lambda: health.completed(instance, container),
        )

    async def _begin(self, instance: Instance, container: str, links: asyncio.Future[Any]) -> None:
        if self._deployment.ends_out_of(instance.name):
            await asyncio.shield(links)
        try:
            await self._daemon.call(self._daemon.api.start, container)
        except EngineError as error:
            raise EngineError(f"{instance.name} did not start: {error.message}") from error
