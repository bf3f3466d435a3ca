"""Replacing a container by a new one: another environment, image or address, the same volumes.

    create (while the old one serves) -> stop the old one -> take over -> start the new one

The old container stays, ended, until the run is taken down: its log belongs to the instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from lab.engines import Life, Version
from lab.engines.docker.daemon import Daemon
from lab.engines.docker.layout import PROMETHEUS, endpoints
from lab.engines.docker.setting import Setting
from lab.engines.docker.usage import UsageMeter
from lab.engines.interception import Interception
from lab.errors import EngineError, LabError
from lab.plan import Deployment, Instance
from lab.proxies.toxiproxy import ToxiproxyClient

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles
    from lab.engines.docker.start import Instances

Ensure = Callable[[str], Awaitable[str]]
"""The id of an image that is here, or is pulled or built now."""


@dataclass(frozen=True, slots=True)
class Successor:
    """A container that is created to follow another; its address in the run's network."""

    container: str
    address: IPv4Address


class Replacer:
    """Makes new containers for instances that have one.

    `proxies` is there once the links are; `scrape` is what tells Prometheus where to look, as a
    tar, with the addresses of that moment.
    """

    def __init__(
        self,
        daemon: Daemon,
        setting: Setting,
        instances: Instances,
        handles: Handles,
        proxies: Callable[[], ToxiproxyClient],
        ensure: Ensure,
        scrape: Callable[[], bytes],
    ) -> None:
        self._daemon = daemon
        self._setting = setting
        self._instances = instances
        self._handles = handles
        self._proxies = proxies
        self._ensure = ensure
        self._scrape = scrape
        self._images: dict[str, str] = {}
        self._first = dict(setting.layout.containers)
        self._ever = {*self._first.values(), setting.layout.lower[1]}
        self._numbers = itertools.count(2)

    async def provide(self, version: Version) -> None:
        """Have the image of a version here."""
        if version.image and version.image not in self._images:
            self._images[version.image] = await self._ensure(version.image)

    async def create(self, instance: Instance, version: Version) -> Successor:
        """A container of that version, created and not started."""
        await self.provide(version)
        old = self._handles.containers[instance.name]
        found = await self._daemon.call(self._daemon.api.inspect_container, old)
        volumes = [mount for mount in found["Mounts"] if mount["Type"] == "volume"]
        address = self._address(instance, version)
        container = await self._instances.create_again(
            _as(instance, version),
            self._images[version.image] if version.image else None,
            volumes,
            address,
            f"{instance.name}.{next(self._numbers)}",
        )
        return Successor(container, address)

    async def take_over(self, instance: Instance, successor: Successor) -> None:
        """The old one has ended; from now on its successor is the instance."""
        handles, layout = self._handles, self._setting.layout
        handles.retired.setdefault(instance.name, []).append(handles.containers[instance.name])
        handles.containers[instance.name] = successor.container
        if layout.containers[instance.name] == successor.address:
            return
        layout.containers[instance.name] = successor.address
        await self._lead(instance, successor.address)
        prometheus, api = handles.containers[PROMETHEUS], self._daemon.api
        await self._daemon.call(api.put_archive, prometheus, "/", self._scrape())
        await self._daemon.call(api.kill, prometheus, "SIGHUP")

    async def _lead(self, instance: Instance, address: IPv4Address) -> None:
        """Its links go to that address; to its first one by name, as when all was brought up."""
        for end in self._setting.deployment.ends_into(instance):
            _, upstream = endpoints(end, self._setting.layout)
            if address != self._first[instance.name]:
                upstream = f"{address}:{end.link.port}"
            await self._proxies().lead(end.proxy, upstream)

    def _address(self, instance: Instance, version: Version) -> IPv4Address:
        """Its first one, or one that nothing ever had: a cached one must not reach another."""
        if not version.moved:
            return self._first[instance.name]
        for address in reversed(list(self._setting.layout.lower.hosts())):
            if address not in self._ever:
                self._ever.add(address)
                return address
        raise EngineError(f"no address is left for {instance.name}")


class Replacing:
    """`lab.engines.Replaceable`; a part of the cluster."""

    deployment: Deployment
    interception: Interception | None
    _daemon: Daemon
    _handles: Handles
    _meter: UsageMeter
    _turns: defaultdict[str, asyncio.Lock]

    if TYPE_CHECKING:

        async def start(self, instance: Instance) -> None: ...  # noqa: D102
        async def _start(self, instance: Instance) -> None: ...
        async def _stop(self, instance: Instance, grace_s: float) -> None: ...
        def _spawn(self, work: Coroutine[None, None, None]) -> None: ...

    async def provide(self, instance: Instance, version: Version) -> None:
        """Have its image here; what strikes requests of a link knows one address only."""
        if version.moved and self.interception:
            for end in self.deployment.ends_into(instance):
                if end.name in self.interception.doors:
                    raise EngineError(
                        f"{instance.name} cannot get another address: requests over {end.name} "
                        "are struck in this experiment, and would no longer be",
                        remedy="leave `new_address` or that fault out",
                    )
        await self.replacer.provide(version)

    async def replace(
        self, instance: Instance, version: Version, grace_s: float, *, ready: bool = True
    ) -> None:
        """Create the new container, stop the old one, start the new one."""
        async with self._turns[instance.name]:
            old = self._handles.containers[instance.name]
            successor = await self.replacer.create(instance, version)
            await self._stop(instance, grace_s)
            await self.replacer.take_over(instance, successor)
            self._meter.follow(old, successor.container)
            if ready:
                await self._start(instance)
            else:
                await self._daemon.call(self._daemon.api.start, successor.container)
                self._spawn(self._come_up(instance))

    async def _come_up(self, instance: Instance) -> None:
        """Open the links into one that was started, when it is ready; if not, that is residue."""
        with contextlib.suppress(LabError):
            await self.start(instance)

    async def life(self, instance: Instance) -> Life:
        """What the daemon says of its container."""
        container = self._handles.containers[instance.name]
        found: Any = await self._daemon.call(self._daemon.api.inspect_container, container)
        networks = found["NetworkSettings"]["Networks"].values()
        address = next((n["IPAddress"] for n in networks if n["IPAddress"]), "")
        return Life(
            number=found["Id"],
            started_s=datetime.fromisoformat(found["State"]["StartedAt"]).timestamp(),
            environment=dict(pair.split("=", 1) for pair in found["Config"]["Env"] if "=" in pair),
            image=found["Image"],
            address=address,
        )

    @property
    def replacer(self) -> Replacer:
        """What makes containers anew."""
        assert self._handles.replacer  # noqa: S101 - made while bringing up
        return self._handles.replacer


def _as(instance: Instance, version: Version) -> Instance:
    """The instance with the environment of a version."""
    environment = {**instance.service.environment, **version.environment}
    return replace(instance, service=replace(instance.service, environment=environment))
