"""A deployment that runs in Docker: what the run, the faults and the report ask of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from docker.errors import NotFound

from lab.engines import Bypasses, Driver, Exchange, Limits, Probe, State, Traffic, Usage
from lab.engines.docker.cables import Cables, StartAgent, Unplugging
from lab.engines.docker.certificates import Certificates
from lab.engines.docker.clocks import Clocks
from lab.engines.docker.daemon import Daemon
from lab.engines.docker.deaths import Deaths
from lab.engines.docker.disks import FullDisks, SlowDisks
from lab.engines.docker.ending import ask_to_end, crash
from lab.engines.docker.execution import Execution
from lab.engines.docker.failing import Failing
from lab.engines.docker.files import FewFiles
from lab.engines.docker.handles import Handles
from lab.engines.docker.hands import Agent
from lab.engines.docker.health import Health
from lab.engines.docker.layout import Layout
from lab.engines.docker.limits import changed, read, set_cpus, set_memory
from lab.engines.docker.naming import Naming
from lab.engines.docker.prometheus import Prometheus
from lab.engines.docker.replacing import Replacing
from lab.engines.docker.scraping import Scraping
from lab.engines.docker.usage import UsageMeter
from lab.engines.interception import Intercepting
from lab.engines.remains import GONE, residue
from lab.errors import EngineError, UsageError
from lab.history import Sample
from lab.plan import Deployment, Instance, LinkEnd
from lab.proxies import Proxies, Stream
from lab.proxies.greetings import conversation, greeting

_HTTP_TIMEOUT_S = 10.0


class DockerCluster(
    Certificates,
    Clocks,
    Failing,
    Intercepting,
    Naming,
    Scraping,
    FullDisks,
    SlowDisks,
    FewFiles,
    Execution,
    Unplugging,
    Replacing,
):
    """`lab.engines.Cluster`, with every optional ability."""

    engine = "docker"

    def __init__(
        self,
        daemon: Daemon,
        deployment: Deployment,
        layout: Layout,
        logs: Path,
        *,
        proxies: Proxies,
        agent: Agent,
        prometheus: Prometheus,
        health: Health,
        handles: Handles,
        start_cable: StartAgent,
    ) -> None:
        self.deployment = deployment
        self.layout = layout
        self.proxies: Proxies = proxies
        self._daemon = daemon
        self._logs = logs
        self._agent = agent
        self._prometheus = prometheus
        self._health = health
        self._handles = handles
        observers = [str(address) for address in layout.observers]
        self._cables = Cables(start_cable, self.state, observers)
        self._meter = UsageMeter(daemon)
        self._deaths: Deaths | None = None
        self._following: set[asyncio.Task[None]] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Ending and starting one instance takes turns: faults that meet on it undo nothing."""

    async def watch(self) -> None:
        """From now on, notice instances that end by themselves."""
        self._deaths = await Deaths.watch(
            self._daemon, self.layout.run_id, set(self._handles.jobs), self._changed
        )

    async def stop_watching(self) -> None:
        """The end of `watch`."""
        if self._deaths:
            await asyncio.to_thread(self._deaths.close)
        await self._end_commands()
        await self._cables.close()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    def note(self, name: str, why: str) -> None:
        """Tell of something that ended although no fault ended it, as `deaths` does."""
        if self._deaths:
            self._deaths.note(name, why)

    async def driver(self, design: str) -> Driver:
        """The load driver of a design."""
        try:
            return self._handles.drivers[design]
        except KeyError:
            raise UsageError(f"no load driver runs for design {design}") from None

    async def probe(self, end: LinkEnd, timeout_s: float = 1.0) -> Probe:
        """One try of a link, made beside its proxy: toxics and packet rules both show."""
        answer = await self._agent.order(
            "probe",
            address=self._address(end),
            port=end.link.port,
            text=greeting(end.link.port).decode("latin-1"),
            timeout_s=timeout_s,
        )
        return Probe(answer["outcome"], answer["seconds"], answer["connect_s"])

    async def exchange(
        self, end: LinkEnd, stream: Stream, size_bytes: int, timeout_s: float
    ) -> Exchange:
        """A longer try of a link, made beside its proxy."""
        answer = await self._agent.order(
            "exchange",
            address=self._address(end),
            port=end.link.port,
            saying=conversation(end.link.port, stream, size_bytes),
            timeout_s=timeout_s,
        )
        return Exchange(**answer)

    async def http(
        self, instance: Instance, method: str, path: str, body: str | None = None
    ) -> tuple[int, str]:
        """A request to the instance's real address, at the port where its metrics are."""
        scrape = instance.service.scrape
        if scrape is None or scrape.exporter:
            raise EngineError(f"{instance.name} has no metrics port of its own to send {path} to")
        answer = await self._agent.order(
            "http",
            address=str(self.layout.containers[instance.name]),
            port=scrape.port,
            method=method,
            path=path,
            body=body,
            timeout_s=_HTTP_TIMEOUT_S,
        )
        return int(answer["status"]), str(answer["body"])

    async def state(self, instance: Instance) -> State:
        """What the daemon says, which for `paused` is what the kernel's freezer says."""
        container = self._handles.containers[instance.name]
        try:
            found = await self._daemon.call(self._daemon.api.inspect_container, container)
        except EngineError as error:
            if isinstance(error.__cause__, NotFound):
                return State("missing")
            raise
        state = found["State"]
        status = state["Status"] if state["Status"] in ("running", "paused") else "exited"
        started_s = datetime.fromisoformat(state["StartedAt"]).timestamp()
        return State(status, state.get("ExitCode"), bool(state.get("OOMKilled")), started_s)

    async def traffic(self) -> dict[str, Traffic]:
        """Counted by packet rules on the links' addresses."""
        counts: Mapping[str, list[int]] = await self._agent.order("traffic")
        return {end.name: Traffic(*counts[self._address(end)]) for end in self.deployment.ends}

    async def usage(self) -> dict[str, Usage]:
        """By instance name; the lab's own parts by theirs, drivers as `lab/driver/NAME`."""
        drivers = {f"{design}/client": f"lab/driver/{design}" for design in self._handles.drivers}
        return await self._meter.read_all(
            {drivers.get(name, name): id_ for name, id_ in self._handles.containers.items()}
        )

    async def publish(self, exposition: str) -> None:
        """The agent serves it."""
        await self._agent.order("publish", text=exposition)

    async def samples(
        self, start_unix_s: float, end_unix_s: float, names: Collection[str]
    ) -> list[Sample]:
        """Scraped values of these metrics between two moments, in Unix time."""
        return await self._prometheus.samples(start_unix_s, end_unix_s, names)

    async def versions(self) -> dict[str, str]:
        """Docker, its kernel, Toxiproxy and Prometheus."""
        engine, proxy, prometheus = await asyncio.gather(
            self._daemon.call(self._daemon.api.version),
            self.proxies.version(),
            self._prometheus.version(),
        )
        return {
            "docker": str(engine["Version"]),
            "kernel": str(engine.get("KernelVersion", "unknown")),
            "toxiproxy": proxy,
            "prometheus": prometheus,
        }

    async def residue(self) -> list[str]:
        """What is not as it was when the cluster came up."""
        cut = set(await self.cuts())
        limited = await changed(self._daemon, self.deployment.instances, self._handles.containers)
        refusing = await self._agent.order("shuts")
        shut = [
            f"{end.name}: its packets are refused"
            for end in self.deployment.ends
            if self._address(end) in refusing
        ]
        left = [*await residue(self, cut, self._handles.jobs), *await self.armed_rules()]
        held = await self._handles.insider.left() if self._handles.insider else []
        packets = await self.packet_residue()
        packets += await self._cables.residue(self.deployment.instances)
        others = [
            *await self.bad_certificates(),
            *await self.armed(),
            *held,
            *self._commands_left(),
            *await self.spoilt_names(),
        ]
        return [*left, *limited, *shut, *packets, *others]

    async def bypasses(self) -> Bypasses | None:
        """A client finds only its links' addresses in its hosts file: nobody looks."""
        return None

    async def deaths(self) -> AsyncIterator[tuple[str, str]]:
        """Instances that end although nothing of the lab ended them, as (unique name, why)."""
        if self._deaths:
            async for death in self._deaths.seen():
                yield death

    def addresses(self) -> dict[str, str]:
        """URLs on this machine: `toxiproxy` (its API), `prometheus`, and `entry` when kept."""
        return dict(self._handles.urls)

    async def kill(self, instance: Instance) -> None:
        """SIGKILL, and from the same moment the proxies of the links into it refuse.

        They accept before they dial, so a dead server would look alive without that.
        """
        async with self._turns[instance.name]:
            await self._kill(instance)

    async def _kill(self, instance: Instance) -> None:
        container = self._handles.containers[instance.name]
        if self._deaths:
            self._deaths.expected.add(instance.name)
        state = await self.state(instance)
        if state.status == "paused":
            await self.resume(instance)
        if state.status in ("running", "paused"):
            await self._meter.remember(container)
            await asyncio.gather(
                crash(self._daemon, container),
                self._accept(instance, enabled=False),
            )

    async def stop(self, instance: Instance, grace_s: float) -> None:
        """Send its stop signal, and SIGKILL if it has not ended in time.

        From the signal on its links take no new connections, as a listener that drains does not.
        Their proxies must not: one that dials an address that has gone does nothing else.
        """
        async with self._turns[instance.name]:
            await self._stop(instance, grace_s)

    async def _stop(self, instance: Instance, grace_s: float) -> None:
        if self._deaths:
            self._deaths.expected.add(instance.name)
        try:
            await self._shut(instance, "shut")
            await self._ask_to_end(instance, grace_s)
        finally:
            try:
                await self._kill(instance)
                await self._accept(instance, enabled=False)
            finally:
                await self._shut(instance, "unshut")

    async def start(self, instance: Instance) -> None:
        """Start it, wait until it is ready, then let the links into it accept again."""
        async with self._turns[instance.name]:
            await self._start(instance)

    async def _start(self, instance: Instance) -> None:
        container = self._handles.containers[instance.name]
        await self._daemon.call(self._daemon.api.start, container)
        await self._cables.again(instance)
        await self._health.ready(instance, container)
        await self._shut(instance, "unshut")
        await self._accept(instance, enabled=True)
        if self._deaths:
            self._deaths.expected.discard(instance.name)

    async def pause(self, instance: Instance) -> None:
        """Freeze every process of it."""
        if (await self.state(instance)).status == "running":
            await self._daemon.call(self._daemon.api.pause, self._handles.containers[instance.name])

    async def resume(self, instance: Instance) -> None:
        """Let it go on."""
        if (await self.state(instance)).status == "paused":
            await self._daemon.call(
                self._daemon.api.unpause, self._handles.containers[instance.name]
            )

    async def reset(self, ends: Sequence[LinkEnd]) -> None:
        """Reset the connections that are open; toxics reset only those that carry a byte."""
        await self._agent.order("reset", addresses=[self._address(end) for end in ends])

    async def limits(self, instance: Instance) -> Limits:
        """What the kernel says of a container that runs, else what the daemon would give it."""
        return await read(self._daemon, self._handles.containers[instance.name])

    async def limit_cpus(self, instance: Instance, cpus: float | None) -> None:
        """Change the quota of a container."""
        await set_cpus(self._daemon, self._handles.containers[instance.name], cpus)

    async def limit_memory(self, instance: Instance, memory_bytes: int | None) -> None:
        """Change the limit of a container, on memory and swap together."""
        excused = self._deaths.excused if self._deaths else set()
        excused.add(instance.name)
        await set_memory(self._daemon, self._handles.containers[instance.name], memory_bytes)
        if memory_bytes == instance.service.memory_bytes:
            excused.discard(instance.name)

    async def _shut(self, instance: Instance, how: str) -> None:
        """`shut` or `unshut` the links into an instance by packet rules, at once."""
        addresses = [self._address(end) for end in self.deployment.ends_into(instance)]
        await self._agent.order(how, addresses=addresses)

    async def _ask_to_end(self, instance: Instance, within_s: float) -> None:
        """Send its stop signal and wait until it has ended, or until that time is over."""
        container = self._handles.containers[instance.name]
        await self.resume(instance)
        if (await self.state(instance)).status == "running":
            await self._meter.remember(container)
            await ask_to_end(self._daemon, container, within_s)

    async def _accept(self, instance: Instance, *, enabled: bool) -> None:
        ends = self.deployment.ends_into(instance)
        await asyncio.gather(*(self.proxies.set_enabled(end.proxy, enabled, GONE) for end in ends))

    def _changed(self, name: str, action: str) -> None:
        """An instance ended by itself, or its restart policy started it: its links follow."""
        self._spawn(self._follow(self.deployment.instance(name), action))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Let something go on until the run is over."""
        task = asyncio.create_task(work)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, instance: Instance, action: str) -> None:
        if action == "start":
            await self._cables.again(instance)
            await self._health.ready(instance, self._handles.containers[instance.name])
        await self._shut(instance, "unshut" if action == "start" else "shut")
        await self._accept(instance, enabled=action == "start")
