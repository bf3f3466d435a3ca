"""What happens by itself while a cluster is up: deaths, restarts, connections past the proxies.

Nothing on this engine can stop a service from dialling another one directly; it can be seen. Once
a second the kernel's table of connections is read, and a connection from the client of a link to
the server of that link that does not belong to the proxy is kept and told.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from lab.engines import Bypasses, Usage
from lab.engines.local.layout import Layout
from lab.engines.local.supervised import Supervisor
from lab.errors import LabError
from lab.plan import Deployment, Instance

_LOOK_S = 1.0
_RESTARTS = ("always", "unless-stopped", "on-failure")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 60.0
"""Between restarts, doubling, as Docker's restart policies do."""

Follow = Callable[[Instance], Awaitable[None]]


class Watch:
    """Watches the instances of one run.

    `expected` holds the names of those that the lab itself ends, or that end when their work is
    done. `excused` holds those that a fault lets end by themselves: their links follow, and it is
    no news. `went` closes the links of an instance that is gone, `come_back` starts it again and
    opens them.
    """

    def __init__(
        self,
        deployment: Deployment,
        layout: Layout,
        supervisor: Supervisor,
        expected: set[str],
        went: Follow,
        come_back: Follow,
    ) -> None:
        self.expected = set(expected)
        self.excused: set[str] = set()
        self._deployment = deployment
        self._supervisor = supervisor
        self._went, self._come_back = went, come_back
        self._links = {
            (end.client, *layout.real(layout.instances[end.server.name], end.link.port)): end
            for end in deployment.ends
        }
        self._seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._found: dict[str, None] = {}
        self._looks = 0
        self._peaks: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, others: Mapping[str, int]) -> None:
        """Watch from now on; `others` are process ids of the load drivers, by their unique name."""
        self.spawn(self._listen())
        self.spawn(self._look(dict(others)))

    async def end(self) -> None:
        """Watch no longer."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def deaths(self) -> AsyncIterator[tuple[str, str]]:
        """Deaths as they happen: the instance's unique name, and why."""
        while True:
            yield await self._seen.get()

    def bypasses(self) -> Bypasses:
        """Links that were gone round so far."""
        return Bypasses(self._looks, tuple(self._found))

    def with_peaks(self, usage: Mapping[str, Usage]) -> dict[str, Usage]:
        """The same, with the most memory that was seen at any look."""
        for name, used in usage.items():
            self._peaks[name] = max(self._peaks.get(name, 0), used.memory_peak_bytes)
        return {
            name: Usage(used.cpu_s, used.memory_bytes, self._peaks[name])
            for name, used in usage.items()
        }

    async def _listen(self) -> None:
        instances = {instance.name: instance for instance in self._deployment.instances}
        async for ended in self._supervisor.events():
            instance = instances.get(ended.name)
            if instance and not ended.asked and ended.name not in self.expected:
                if ended.name not in self.excused:
                    self._seen.put_nowait((ended.name, f"exit code {exit_code(ended.code)}"))
                self.spawn(self._follow(instance, ended.code))

    async def _follow(self, instance: Instance, code: int) -> None:
        """An instance ended by itself: its links refuse, and its restart policy is obeyed."""
        with contextlib.suppress(LabError):  # what cannot be mended shows as residue
            await self._went(instance)
            policy, _, most = instance.service.restart.partition(":")
            if policy not in _RESTARTS or (policy == "on-failure" and code == 0):
                return
            pause_s, tries = _FIRST_PAUSE_S, 0
            while not most or tries < int(most):
                await asyncio.sleep(pause_s)
                pause_s, tries = min(_LONGEST_PAUSE_S, 2 * pause_s), tries + 1
                if instance.name in self.expected:
                    return  # a fault ended it meanwhile, and brings it back itself
                with contextlib.suppress(LabError):
                    await self._come_back(instance)
                    return

    async def _look(self, others: Mapping[str, int]) -> None:
        servers = sorted({(host, port) for _, host, port in self._links})
        with contextlib.suppress(LabError):  # the supervisor has ended: deaths tell
            while True:
                for one in await self._supervisor.sockets(servers, others):
                    if end := self._links.get((one.name, one.host, one.port)):
                        self._found[f"{end.name}: {one.name} connected past the proxy"] = None
                self._looks += 1
                self.with_peaks(await self._supervisor.usage())
                await asyncio.sleep(_LOOK_S)

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something go on until nobody watches any more."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def exit_code(code: int | None) -> int | None:
    """How a process ended, as shells and Docker count: 137 for SIGKILL."""
    return 128 - code if code is not None and code < 0 else code
