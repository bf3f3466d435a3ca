"""Bringing a deployment up as processes of this machine.

supervisor, addresses -> programs made by recipes -> proxy with every link
-> instances, in order of what they depend on -> collector, drivers, side by side with them
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import lab
from lab.engines import Say, Wanted, interception
from lab.engines.interception import Interception
from lab.engines.local import certificates, prometheus_on_path
from lab.engines.local.cluster import LocalCluster
from lab.engines.local.collected import Collector
from lab.engines.local.collector.target import Target
from lab.engines.local.down import take_down
from lab.engines.local.driver import MODULE, LocalDriver
from lab.engines.local.handles import Handles
from lab.engines.local.health import Health, tail
from lab.engines.local.layout import (
    API_PORT,
    DRIVER_PORT,
    PROMETHEUS_PORT,
    Mode,
    free_network,
    lay_out,
    slug,
)
from lab.engines.local.leftovers import clean, leftovers
from lab.engines.local.owner import folder_of
from lab.engines.local.pipe import Pipe
from lab.engines.local.program import Place, Program, Result
from lab.engines.local.recipes import recipe_for
from lab.engines.local.refusals import notes, refuse
from lab.engines.local.supervised import Supervisor
from lab.engines.local.targets import targets
from lab.engines.order import Order, all_of
from lab.errors import EngineError
from lab.plan import Deployment, Instance, LinkEnd, client_of
from lab.proxies import ProxySpec
from lab.proxies.embedded.control import EmbeddedProxies
from lab.topology import CLIENT

PROXY = "lab/proxy"
COLLECTOR = "lab/collector"
LOOPBACK = "127.0.0.1"
_PROXY_ANSWERS_S = 15.0


@asynccontextmanager
async def bring_up(
    deployment: Deployment, wanted: Wanted, say: Say, mode: Mode, patience_s: float
) -> AsyncIterator[LocalCluster]:
    """A cluster that is up and ready; down again when the context ends, unless it is kept."""
    refuse(deployment)
    if wanted.grafana:
        raise EngineError(
            "the local engine has no Prometheus for Grafana to read",
            remedy="run it with Docker: --engine docker",
        )
    bringing = BringUp(deployment, wanted, say, mode, patience_s)
    try:
        yield await bringing.run()
    finally:
        await take_down(bringing, say)


class BringUp:
    """One bring-up, and everything it has opened so far."""

    def __init__(
        self, deployment: Deployment, wanted: Wanted, say: Say, mode: Mode, patience_s: float
    ) -> None:
        self._deployment = deployment
        self.wanted = wanted
        self._say = say
        self._patience_s = patience_s
        self._folder = folder_of(wanted.run_id)
        # A kept topology has no run to belong to: its logs live and die with it.
        self._logs = ((self._folder if wanted.keep else wanted.out) / "logs").resolve()
        self._drivers = wanted.drivers and not wanted.keep
        network, self.claim = free_network(wanted.run_id, deployment, mode)
        self._layout = lay_out(deployment, network, mode, drivers=self._drivers)
        self.handles = Handles()
        self.supervisor: Supervisor | None = None
        self.proxies: EmbeddedProxies | None = None
        self.interception: Interception | None = None
        self.collector: Collector | None = None
        self.cluster: LocalCluster | None = None

    async def run(self) -> LocalCluster:
        """Everything from nothing to a cluster that is ready."""
        await self._clean_after_others()
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(f"{self._logs} cannot be created: {error.strerror}") from error
        self.supervisor = supervisor = await Supervisor.start(
            self.wanted.run_id, self._folder, self._log("lab/supervisor")
        )
        for note in notes(self._deployment):
            self._say(note)
        count, designs = len(self._deployment.instances), ", ".join(self._deployment.designs)
        self._say(f"starting {count} server{'s' * (count > 1)} for {designs}")
        self.handles.logs = {i.name: self._log(i.name) for i in self._deployment.instances}
        health = Health(
            supervisor, self._deployment, self._layout, self.handles.logs, self._patience_s
        )
        links = asyncio.create_task(self._links(supervisor))
        await all_of(
            _result(links),
            self._instances(supervisor, health, links),
            self._scrape(supervisor),
            *(self._driver(design) for design in self._deployment.designs if self._drivers),
        )
        return await self._up(supervisor, await links, health)

    async def _clean_after_others(self) -> None:
        """Remove what runs left whose process is gone; never what another run is using."""
        for left in await asyncio.to_thread(leftovers):
            if not left.alive and not left.kept:
                self._say(f"removing what {left} left")
                await asyncio.to_thread(clean, left)

    async def _links(self, supervisor: Supervisor) -> EmbeddedProxies:
        """The proxy, with an address of its own for every link."""
        layout = self._layout
        host, port = layout.real(layout.own, API_PORT)
        await supervisor.launch(PROXY, _proxy(self._folder, host, port), self._log(PROXY))
        self.handles.urls["toxiproxy"] = url = f"http://{host}:{port}"
        self.proxies = proxies = EmbeddedProxies(url)
        try:
            await proxies.ready(_PROXY_ANSWERS_S)
        except EngineError as error:
            log = tail(self._log(PROXY))
            raise EngineError(f"{error.message}; its last lines of log:\n{log}") from error
        intercepted = await self._intercept()
        await proxies.create([self._spec(end, intercepted) for end in self._deployment.ends])
        return proxies

    async def _intercept(self) -> dict[str, str]:
        """Start an interceptor where links need one; where their proxies find it."""
        layout = self._layout
        ends = [end for end in self._deployment.ends if end.name in self._deployment.intercepted]
        if not ends:
            return {}
        name = interception.NAME
        pipe = await Pipe.start("the interceptor", interception.MODULE, self._log(name))
        self.handles.pipes[name] = pipe
        doors = {e.name: layout.real(layout.links[e.name], e.link.port) for e in ends}
        self.interception = Interception(pipe.ask, doors)
        servers = {e.name: layout.real(layout.instances[e.server.name], e.link.port) for e in ends}
        found = await self.interception.ask("open", upstreams=servers)
        return {end: _written((host, port)) for end, (host, port) in found.items()}

    def _spec(self, end: LinkEnd, intercepted: Mapping[str, str]) -> ProxySpec:
        layout, port = self._layout, end.link.port
        listen = _written(layout.real(layout.links[end.name], port))
        if end.link.client == CLIENT:
            self.handles.urls.setdefault("entry", f"http://{listen}")
        upstream = _written(layout.real(layout.instances[end.server.name], port))
        return ProxySpec(end.proxy, listen, intercepted.get(end.name, upstream))

    async def _instances(
        self, supervisor: Supervisor, health: Health, links: asyncio.Task[EmbeddedProxies]
    ) -> None:
        """Make every program, then start each as soon as what it depends on has got that far."""
        order = Order(self._deployment)
        self.handles.jobs |= order.jobs

        async def begin(instance: Instance) -> None:
            if self._deployment.ends_out_of(instance.name):
                await asyncio.shield(links)
            await self.handles.launch(supervisor, instance)

        async def bring(instance: Instance) -> None:
            program = self.handles.programs[instance.name] = await self._program(
                supervisor, instance
            )
            await order.start(
                instance,
                begin=lambda: begin(instance),
                ready=lambda: health.ready(instance, program),
                completed=lambda: health.completed(instance),
            )

        await all_of(*(bring(instance) for instance in self._deployment.instances))

    async def _program(self, supervisor: Supervisor, instance: Instance) -> Program:
        layout = self._layout
        home = self._folder / slug(instance.name)
        home.mkdir(mode=0o755)
        self.handles.homes[instance.name] = home
        addresses = certificates.addresses_of(instance, self._deployment, layout)
        certificates.put(self.handles.authority.files(instance, addresses), home)
        place = Place(
            home,
            layout.instances[instance.name],
            layout.names_of(instance.name, instance.design, self._deployment),
            layout.real,
            layout.moved,
        )

        def run(program: Program, timeout_s: float) -> Awaitable[Result]:
            return supervisor.run(program, timeout_s, name=instance.name)

        recipe = recipe_for(instance.service)
        self.handles.versions[recipe.name] = recipe.server
        return await recipe.install(instance, place, run)

    async def _scrape(self, supervisor: Supervisor) -> None:
        """The collector, where somebody will read what it collected."""
        if self.wanted.keep:
            return
        self.collector = await Collector.start(self._log(COLLECTOR))
        self.handles.pipes[COLLECTOR] = self.collector.pipe
        found = targets(self._deployment, self._layout, drivers=self._drivers)
        await self.collector.scrape(found)
        if binary := prometheus_on_path.find():
            await self._prometheus(supervisor, self.collector, binary, found)

    async def _prometheus(
        self, supervisor: Supervisor, collector: Collector, binary: Path, found: list[Target]
    ) -> None:
        """A Prometheus that is on this machine anyway, for whoever wants to look closer.

        Nothing of the run waits for it or reads from it.
        """
        home = self._folder / slug(prometheus_on_path.NAME)
        home.mkdir()
        listen = self._layout.real(self._layout.own, PROMETHEUS_PORT)
        program = prometheus_on_path.program(
            binary, home, found, translations=await collector.serve(LOOPBACK), listen=listen
        )
        name = prometheus_on_path.NAME
        await supervisor.launch(name, program, self._log(name))
        self.handles.urls["prometheus"] = url = f"http://{_written(listen)}"
        self._say(f"Prometheus is on this machine: {url}")

    async def _driver(self, design: str) -> None:
        name = client_of(design)
        pipe = await Pipe.start(f"the load driver of {design}", MODULE, self._log(name))
        self.handles.pipes[f"lab/driver/{design}"] = pipe
        layout = self._layout
        end = next(e for e in self._deployment.ends if e.client == name)
        self.handles.drivers[design] = driver = LocalDriver(
            design,
            pipe,
            entry=layout.real(layout.links[end.name], end.link.port),
            metrics=layout.real(layout.instances[name], DRIVER_PORT),
        )
        await driver.compare_clocks()

    async def _up(
        self, supervisor: Supervisor, proxies: EmbeddedProxies, health: Health
    ) -> LocalCluster:
        self.cluster = cluster = LocalCluster(
            self._deployment,
            self._layout,
            proxies=proxies,
            supervisor=supervisor,
            collector=self.collector,
            health=health,
            handles=self.handles,
        )
        cluster.interception = self.interception
        cluster.watch()
        return cluster

    def _log(self, name: str) -> Path:
        return self._logs / f"{slug(name)}.log"


def _written(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


def _proxy(folder: Path, host: str, port: int) -> Program:
    """The proxy's process; the supervisor keeps it, so that it outlives us where that is wanted."""
    argv = (sys.executable, "-m", "lab.proxies.embedded", "--api", f"{host}:{port}", "--stay")
    return Program(argv, {"PYTHONPATH": str(Path(lab.__file__).parent.parent)}, folder)


async def _result(task: asyncio.Task[EmbeddedProxies]) -> None:
    await task
