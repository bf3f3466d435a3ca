"""A deployment that runs as processes here: what the run, the faults and the report ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace

import httpx
import psutil

from lab import __version__
from lab.engines import Bypasses, Driver, Exchange, Probe, State, Traffic, Usage
from lab.engines.interception import Intercepting
from lab.engines.local.certificates import Certificates
from lab.engines.local.collected import Collector
from lab.engines.local.execution import Execution
from lab.engines.local.failing import Failing
from lab.engines.local.files import FewFiles
from lab.engines.local.handles import Handles
from lab.engines.local.health import Health
from lab.engines.local.layout import Layout
from lab.engines.local.replacing import Replacing
from lab.engines.local.scraping import Scraping
from lab.engines.local.supervised import Supervisor
from lab.engines.local.watch import Watch, exit_code
from lab.engines.remains import GONE, residue
from lab.errors import EngineError, UsageError
from lab.history import Sample
from lab.plan import Deployment, Instance, LinkEnd, client_of
from lab.proxies import Proxies, Stream, Way
from lab.proxies.embedded.control import EmbeddedProxies
from lab.proxies.greetings import conversation

_HTTP_TIMEOUT_S = 10.0


class LocalCluster(Certificates, Failing, Intercepting, Scraping, FewFiles, Execution, Replacing):
    """`lab.engines.Cluster`, and `Stoppable`, `Pausable` and `Partitionable` as well."""

    engine = "local"

    def __init__(
        self,
        deployment: Deployment,
        layout: Layout,
        *,
        proxies: EmbeddedProxies,
        supervisor: Supervisor,
        collector: Collector | None,
        health: Health,
        handles: Handles,
    ) -> None:
        self.deployment = deployment
        self.layout = layout
        self.proxies: Proxies = proxies
        self._proxy = proxies
        self._supervisor = supervisor
        self._collector = collector
        self._health = health
        self._handles = handles
        self._limited_files = {}
        self._watch = Watch(
            deployment, layout, supervisor, handles.jobs, self._went, self._come_back
        )
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Ending and starting one instance takes turns: faults that meet on it undo nothing."""
        self._client = httpx.AsyncClient(timeout=_HTTP_TIMEOUT_S, trust_env=False)

    def watch(self) -> None:
        """From now on, notice instances that end by themselves and connections past the proxies."""
        drivers = {
            client_of(d): self._handles.pipes[f"lab/driver/{d}"] for d in self._handles.drivers
        }
        self._watch.begin({name: pipe.pid for name, pipe in drivers.items()})

    async def stop_watching(self) -> None:
        """The end of `watch`."""
        await self._watch.end()
        await self._client.aclose()

    async def driver(self, design: str) -> Driver:
        """The load driver of a design."""
        try:
            return self._handles.drivers[design]
        except KeyError:
            raise UsageError(f"no load driver runs for design {design}") from None

    async def probe(self, end: LinkEnd, timeout_s: float = 1.0) -> Probe:
        """One try of a link, made beside its proxy."""
        return Probe(*await self._proxy.probe(end.proxy, timeout_s, end.link.port))

    async def exchange(
        self, end: LinkEnd, stream: Stream, size_bytes: int, timeout_s: float
    ) -> Exchange:
        """A longer try of a link, made beside its proxy."""
        saying = conversation(end.link.port, stream, size_bytes)
        return Exchange(**await self._proxy.exchange(end.proxy, saying, timeout_s))

    async def http(
        self, instance: Instance, method: str, path: str, body: str | None = None
    ) -> tuple[int, str]:
        """A request to the instance's real address, at the port where its metrics are."""
        scrape = instance.service.scrape
        if scrape is None or scrape.exporter:
            raise EngineError(f"{instance.name} has no metrics port of its own to send {path} to")
        host, port = self.layout.real(self.layout.instances[instance.name], scrape.port)
        try:
            answer = await self._client.request(method, f"http://{host}:{port}{path}", content=body)
        except httpx.HTTPError as error:
            raise EngineError(f"{instance.name} does not answer to {path}: {error!r}") from error
        return answer.status_code, answer.text

    async def state(self, instance: Instance) -> State:
        """What the kernel says of its processes; the exit code as shells and Docker count."""
        found = await self._supervisor.state(instance.name)
        return replace(found, exit_code=exit_code(found.exit_code))

    async def traffic(self) -> dict[str, Traffic]:
        """Counted by the proxy: a packet is here a piece of bytes that it passed on."""
        counts = await self._proxy.traffic()
        return {e.name: Traffic(*counts.get(e.proxy, (0, 0))) for e in self.deployment.ends}

    async def usage(self) -> dict[str, Usage]:
        """By instance name; the lab's own parts by theirs, drivers as `lab/driver/NAME`."""
        found = self._watch.with_peaks(await self._supervisor.usage())
        own = {name: pipe.pid for name, pipe in self._handles.pipes.items()}
        own["lab/supervisor"] = self._supervisor.pid
        return {**found, **{name: _usage_of(pid) for name, pid in own.items()}}

    async def publish(self, exposition: str) -> None:
        """The collector takes it as if it had scraped it."""
        if self._collector:
            await self._collector.publish(exposition)

    async def samples(
        self, start_unix_s: float, end_unix_s: float, names: Collection[str]
    ) -> list[Sample]:
        """Scraped values of these metrics between two moments, in Unix time."""
        if self._collector is None:
            return []
        return await self._collector.samples(start_unix_s, end_unix_s, names)

    async def versions(self) -> dict[str, str]:
        """The kernel, the proxy, and every server from a wheel."""
        return {
            "kernel": platform.release(),
            "proxy": f"chaos-lab {__version__} (Toxiproxy {await self.proxies.version()} API)",
            **self._handles.versions,
        }

    async def residue(self) -> list[str]:
        """What is not as it was when the cluster came up."""
        left = await residue(self, set(await self.cuts()), self._handles.jobs)
        left += [*await self.bad_certificates(), *await self.armed_rules(), *await self.armed()]
        return [*left, *await self.still_limited(), *self._commands_left()]

    async def bypasses(self) -> Bypasses | None:
        """Connections seen that go past the proxy of their link."""
        return self._watch.bypasses()

    async def deaths(self) -> AsyncIterator[tuple[str, str]]:
        """Instances that end although nothing of the lab ended them, as (unique name, why)."""
        async for death in self._watch.deaths():
            yield death

    def addresses(self) -> dict[str, str]:
        """URLs on this machine: `entry` (through the client's link), `toxiproxy`, `prometheus`."""
        return dict(self._handles.urls)

    async def kill(self, instance: Instance) -> None:
        """SIGKILL every process of it, and from the same moment the links into it refuse.

        Proxies accept before they dial, so a dead server would look alive without that.
        """
        async with self._turns[instance.name]:
            await self._kill(instance)

    async def _kill(self, instance: Instance) -> None:
        self._watch.expected.add(instance.name)
        await asyncio.gather(
            self._supervisor.kill(instance.name), self._accept(instance, enabled=False)
        )

    async def stop(self, instance: Instance, grace_s: float) -> None:
        """Send its stop signal, and SIGKILL if it has not ended in time."""
        async with self._turns[instance.name]:
            await self._stop(instance, grace_s)

    async def _stop(self, instance: Instance, grace_s: float) -> None:
        self._watch.expected.add(instance.name)
        try:
            await self.resume(instance)
            word = instance.service.stop_signal or self._handles.programs[instance.name].stop_signal
            await self._supervisor.end(instance.name, word, grace_s)
        finally:
            await self._kill(instance)

    async def start(self, instance: Instance) -> None:
        """Start it, wait until it is ready, then let the links into it accept again."""
        async with self._turns[instance.name]:
            await self._come_back(instance)
            self._watch.expected.discard(instance.name)

    async def pause(self, instance: Instance) -> None:
        """Stop every process of it (SIGSTOP); not in one instant, as a freezer would."""
        if (await self.state(instance)).status == "running":
            await self._supervisor.pause(instance.name)

    async def resume(self, instance: Instance) -> None:
        """Let it go on."""
        if (await self.state(instance)).status in ("running", "paused"):
            await self._supervisor.resume(instance.name)

    async def reset(self, ends: Sequence[LinkEnd]) -> None:
        """Reset the connections that are open."""
        await self._proxy.reset([end.proxy for end in ends])

    async def cut(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Hold every byte of these link ends; new connections hang."""
        await self._proxy.cut([end.proxy for end in ends], way, why)

    async def mend(self, ends: Sequence[LinkEnd], way: Way = "both", why: str = "cut") -> None:
        """Let bytes pass again, those that were held first."""
        await self._proxy.mend([end.proxy for end in ends], way, why)

    async def cuts(self) -> Mapping[str, Sequence[str]]:
        """In whose names link ends are cut, as their proxies have it."""
        held = await self._proxy.cuts()
        return {e.name: held[e.proxy] for e in self.deployment.ends if e.proxy in held}

    async def passing(self, end: LinkEnd, timeout_s: float = 1.0) -> frozenset[Stream]:
        """Seen on a connection inside the proxy that is held with all others of the link."""
        return await self._proxy.passing(end.proxy, timeout_s)

    async def _went(self, instance: Instance) -> None:
        await self._accept(instance, enabled=False)

    async def _come_back(self, instance: Instance) -> None:
        await self._handles.launch(self._supervisor, instance)
        await self._health.ready(instance, self._handles.programs[instance.name])
        await self._accept(instance, enabled=True)

    async def _accept(self, instance: Instance, *, enabled: bool) -> None:
        ends = self.deployment.ends_into(instance)
        await asyncio.gather(*(self.proxies.set_enabled(end.proxy, enabled, GONE) for end in ends))


def _usage_of(pid: int) -> Usage:
    """What one of the lab's own processes uses; nothing when it has ended."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        times, memory = process.cpu_times(), process.memory_info().rss
        return Usage(times.user + times.system, memory, memory)
    return Usage(0.0, 0, 0)
