"""Bringing a deployment up in Docker, and taking it down whatever happens.

images -> network -> proxy and agent -> instances, in order of what they depend on
-> Prometheus, exporters, drivers, side by side with them
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import lab
from lab.engines import Say, Wanted
from lab.engines.docker import grafana, naming, parts, prometheus
from lab.engines.docker.clean import clean, leftovers
from lab.engines.docker.cluster import DockerCluster
from lab.engines.docker.daemon import Daemon, connect
from lab.engines.docker.down import take_down
from lab.engines.docker.ending import crash
from lab.engines.docker.handles import Handles
from lab.engines.docker.hands import Agent
from lab.engines.docker.health import Health, image_check
from lab.engines.docker.images import Images
from lab.engines.docker.inside import Insider
from lab.engines.docker.layout import (
    PROMETHEUS,
    PROXY,
    Layout,
    endpoints,
    lay_out,
    own_parts,
    prefix_for,
)
from lab.engines.docker.network import create_network
from lab.engines.docker.owner import labels_of
from lab.engines.docker.reaper import Reaper
from lab.engines.docker.replacing import Replacer
from lab.engines.docker.setting import Part, Setting
from lab.engines.docker.start import (
    Instances,
    published_port,
    start_driver,
    start_part,
    start_talking,
)
from lab.engines.interception import Interception
from lab.engines.order import all_of
from lab.errors import EngineError
from lab.plan import Deployment, Instance
from lab.proxies import ProxySpec
from lab.proxies.toxiproxy import Stalled, ToxiproxyClient
from lab.topology import CLIENT, Healthcheck

CATALOGUE = Path(lab.__file__).parent.parent / "topologies" / "images"
ENTRY = "entry"
_PROXY_ANSWERS_S = 15.0


@asynccontextmanager
async def bring_up(
    deployment: Deployment, wanted: Wanted, say: Say, patience_s: float
) -> AsyncIterator[DockerCluster]:
    """A cluster that is up and healthy; down again when the context ends, unless it is kept."""
    daemon = Daemon(await asyncio.to_thread(connect))
    loop = asyncio.get_running_loop()

    def tell(text: str) -> None:  # from any thread
        loop.call_soon_threadsafe(say, text)

    bringing = BringUp(daemon, deployment, wanted, tell)
    try:
        images = await bringing.images()
        bringing.watched_over()
        yield await bringing.run(images, patience_s)
    finally:
        await take_down(bringing, say)


class BringUp:
    """One bring-up, and everything it has opened so far."""

    def __init__(self, daemon: Daemon, deployment: Deployment, wanted: Wanted, say: Say) -> None:
        self.daemon = daemon
        self.wanted = wanted
        self.logs = wanted.out / "logs"
        self.handles = Handles()
        self.agent: Agent | None = None
        self.interceptor: Agent | None = None
        self.interception: Interception | None = None
        self._intercepted: dict[str, str] = {}
        self.proxies: ToxiproxyClient | None = None
        self.prometheus: prometheus.Prometheus | None = None
        self.cluster: DockerCluster | None = None
        self.reaper: Reaper | None = None
        self.log_name: Callable[[str], str] = str
        self._deployment = deployment
        self._say = say
        self._labels = {**labels_of(wanted.run_id, kept=wanted.keep), **wanted.labels}
        self._drivers = wanted.drivers and not wanted.keep

    async def images(self) -> dict[str, str]:
        """Ids of all images, by instance name or reference; built or pulled where needed."""
        images = Images(self.daemon.client, self._say, CATALOGUE)
        refs = parts.images_of(
            self._deployment, drivers=self._drivers, with_grafana=self.wanted.grafana
        )
        ids = await all_of(*(self.daemon.call(images.ensure, ref) for ref in refs))
        found = dict(zip(refs, ids, strict=True))
        makers = [self._image_of(instance, images) for instance in self._deployment.instances]
        made = await all_of(*(self.daemon.call(make) for make in makers))
        names = [instance.name for instance in self._deployment.instances]
        return found | dict(zip(names, made, strict=True))

    def _image_of(self, instance: Instance, images: Images) -> Callable[[], str]:
        service = instance.service
        if service.build is not None:
            build = service.build
            return lambda: images.build(build.context, build.dockerfile, build.args, service.name)
        if service.image is None:
            raise EngineError(f"{service.name} has neither `image:` nor `build:`")
        image = service.image
        return lambda: images.ensure(image)

    def watched_over(self) -> None:
        """Start the reaper, before there is anything to reap."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(f"{self.logs} cannot be created: {error.strerror}") from error
        self.reaper = Reaper(self.wanted.run_id, self.logs / "reaper.log")

    async def run(self, images: dict[str, str], patience_s: float) -> DockerCluster:
        """Everything after the images."""
        await self._clean_after_others()
        setting = await self._network(images)
        count, designs = len(self._deployment.instances), ", ".join(self._deployment.designs)
        self._say(f"starting {count} container{'s' * (count > 1)} for {designs}")
        instances = Instances(self.daemon, setting, images, self.handles)
        self.handles.replacer = self._replacer(setting, instances)
        links = asyncio.create_task(self._links(setting))
        health = Health(
            self.daemon,
            links,
            self._deployment,
            setting.layout,
            await self._checks(images),
            patience_s,
        )
        await all_of(
            _result(links),
            self._instances(instances, health, links),
            *(self._part(setting, part) for part in self._scrapers(setting)),
            *([self._grafana(setting)] if self.wanted.grafana else []),
            *(
                start_driver(self.daemon, setting, design, self.handles, self.logs)
                for design in self._deployment.designs
                if self._drivers
            ),
        )
        return await self._cluster(setting, await links, health)

    def _replacer(self, setting: Setting, instances: Instances) -> Replacer:
        def proxies() -> ToxiproxyClient:
            assert self.proxies  # noqa: S101 - nothing is replaced before there are links
            return self.proxies

        images = Images(self.daemon.client, self._say, CATALOGUE)
        drivers, with_agent = self._drivers, not self.wanted.keep
        return Replacer(
            self.daemon,
            setting,
            instances,
            self.handles,
            proxies,
            lambda image: self.daemon.call(images.ensure, image),
            lambda: parts.scrape_files(setting, drivers=drivers, with_agent=with_agent),
        )

    async def _clean_after_others(self) -> None:
        """Remove what runs left whose process is gone; never what another run is using."""
        left = [
            one
            for one in await self.daemon.call(leftovers, self.daemon.client)
            if not one.alive and not one.kept
        ]
        for one in left:
            self._say(f"removing what {one} left")
            await self.daemon.call(clean, self.daemon.client, one.run_id)

    async def _network(self, images: dict[str, str]) -> Setting:
        own = own_parts(self._deployment, drivers=self._drivers, grafana=self.wanted.grafana)
        count = len(own) + len(self._deployment.instances)
        prefix = prefix_for(count, len(self._deployment.ends))
        name = f"lab-{self.wanted.run_id}"
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
        network, subnet = await self.daemon.call(
            create_network, self.daemon.client, name, prefix, self._labels, start
        )
        layout = lay_out(self.wanted.run_id, self._deployment, subnet, own)
        self.log_name = layout.log_name
        return Setting(self._deployment, layout, network, images, self._labels)

    async def _links(self, setting: Setting) -> Agent:
        """A namespace with agent and proxy in it, and for every link an address of its own."""
        entry = self.wanted.keep
        network = await start_part(
            self.daemon, setting.layout, parts.network(setting, entry=entry), self.handles
        )
        await all_of(
            self._start_agent(setting, network),
            self._start_proxy(setting, network),
            self._start_interceptor(setting, network),
        )
        assert self.agent  # noqa: S101 - started just now
        assert self.proxies  # noqa: S101 - started just now
        proxies = [
            ProxySpec(end.proxy, listen, self._intercepted.get(end.name, upstream))
            for end in self._deployment.ends
            for listen, upstream in (endpoints(end, setting.layout),)
        ]
        if entry:
            proxies.append(self._way_in(setting.layout))
            self.handles.urls[ENTRY] = await published_port(self.daemon, network, parts.ENTRY_PORT)
        await self.proxies.create(proxies)
        return self.agent

    async def _start_agent(self, setting: Setting, network: str) -> None:
        layout = setting.layout
        part = parts.agent(setting, network)
        channel = await start_talking(self.daemon, layout, part, self.handles, self.logs)
        self.agent = agent = Agent(channel)
        own = str(layout.containers[PROXY])
        await agent.order("route", subnet=str(layout.upper), own=own, hand=str(layout.hand))
        await agent.order("account", addresses=[str(address) for address in layout.links.values()])
        await naming.serve(agent, self._deployment, layout, str(layout.containers[PROXY]))
        agent.lacks = await agent.order("lacks")

    async def _start_interceptor(self, setting: Setting, network: str) -> None:
        """In the path of links that need one; nothing is started where none does."""
        layout = setting.layout
        ends = [end for end in self._deployment.ends if end.name in self._deployment.intercepted]
        if not ends:
            return
        part = parts.interceptor(setting, network)
        channel = await start_talking(self.daemon, layout, part, self.handles, self.logs)
        self.interceptor = interceptor = Agent(channel, name="the interceptor")
        doors = {end.name: (str(layout.links[end.name]), end.link.port) for end in ends}
        self.interception = Interception(interceptor.order, doors, str(layout.containers[PROXY]))
        upstreams = {e.name: (str(layout.containers[e.server.name]), e.link.port) for e in ends}
        found = await self.interception.ask("open", upstreams=upstreams)
        self._intercepted = {name: f"{host}:{port}" for name, (host, port) in found.items()}

    async def _start_proxy(self, setting: Setting, network: str) -> None:
        part = parts.proxy(setting, network)
        container = await start_part(self.daemon, setting.layout, part, self.handles)
        url = await published_port(self.daemon, network, prometheus.PROXY_PORT)
        self.handles.urls["toxiproxy"] = url
        self.proxies = ToxiproxyClient(
            url, self._stalled(setting), lambda why: self._renew_proxy(container, why)
        )
        await self.proxies.ready(_PROXY_ANSWERS_S)

    async def _renew_proxy(self, container: str, why: str) -> None:
        """End a Toxiproxy that hangs and start it anew; a run in which that happened says so."""
        await crash(self.daemon, container)
        await self.daemon.call(self.daemon.api.start, container)
        if self.cluster:
            self.cluster.note(PROXY, f"{why}; started anew, which closed every connection")

    def _way_in(self, layout: Layout) -> ProxySpec:
        """For requests by hand: on to the client's own link, whose faults they then meet."""
        end = next(end for end in self._deployment.ends if end.link.client == CLIENT)
        link, _ = endpoints(end, layout)
        return ProxySpec(ENTRY, f"{layout.containers[PROXY]}:{parts.ENTRY_PORT}", link)

    def _stalled(self, setting: Setting) -> Stalled:
        """How the control of the proxies learns that a peer of one of them does not read."""
        ends = {end.proxy: end for end in self._deployment.ends}

        async def stalled(proxy: str) -> bool:
            end = ends[proxy]
            real = f"{setting.layout.containers[end.server.name]}:{end.link.port}"
            link, _ = endpoints(end, setting.layout)
            assert self.agent  # noqa: S101 - links are there before anything edits one
            return bool(await self.agent.order("stalled", link=link, upstream=real))

        return stalled

    async def _instances(
        self, instances: Instances, health: Health, links: asyncio.Task[Agent]
    ) -> None:
        await instances.create()
        await instances.start(health, links)

    def _scrapers(self, setting: Setting) -> list[Part]:
        return parts.scrapers(setting, drivers=self._drivers, with_agent=not self.wanted.keep)

    async def _part(self, setting: Setting, part: Part) -> None:
        container = await start_part(self.daemon, setting.layout, part, self.handles)
        if part.name == PROMETHEUS:
            url = await published_port(self.daemon, container, prometheus.PORT)
            self.handles.urls["prometheus"] = url
            self.prometheus = prometheus.Prometheus(url)
            await self.prometheus.ready()

    async def _grafana(self, setting: Setting) -> None:
        """Nobody waits for it to be ready: it takes longer than everything else."""
        part = parts.dashboards(setting)
        container = await start_part(self.daemon, setting.layout, part, self.handles)
        url = await published_port(self.daemon, container, grafana.PORT)
        self.handles.urls["grafana"] = url
        self._say(f"Grafana: {url}")

    async def _checks(self, images: dict[str, str]) -> dict[str, Healthcheck | None]:
        """The healthchecks of images, for instances whose Compose file has none."""
        silent = [i for i in self._deployment.instances if i.service.healthcheck is None]
        inspect = self.daemon.api.inspect_image
        found = await all_of(*(self.daemon.call(inspect, images[i.name]) for i in silent))
        return {i.name: image_check(image) for i, image in zip(silent, found, strict=True)}

    async def _cluster(self, setting: Setting, agent: Agent, health: Health) -> DockerCluster:
        assert self.proxies  # noqa: S101 - made together with the links
        assert self.prometheus  # noqa: S101 - made with the scrapers
        self.handles.insider = Insider(self.daemon, setting, self.handles, self.logs)
        self.cluster = DockerCluster(
            self.daemon,
            self._deployment,
            setting.layout,
            self.logs,
            proxies=self.proxies,
            agent=agent,
            prometheus=self.prometheus,
            health=health,
            handles=self.handles,
            start_cable=lambda instance, number: self._start_cable(setting, instance, number),
        )
        self.cluster.interception = self.interception
        await self.cluster.watch()
        return self.cluster

    async def _start_cable(self, setting: Setting, instance: Instance, number: int) -> Agent:
        container = self.handles.containers[instance.name]
        part = parts.cable(setting, instance, container, number)
        channel = await start_talking(self.daemon, setting.layout, part, self.handles, self.logs)
        return Agent(channel)


async def _result(task: asyncio.Task[Agent]) -> None:
    await task
