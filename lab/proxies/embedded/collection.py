"""All proxies of the process, by name; what the API can do to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.proxies import Stream
from lab.proxies.embedded import bodies, sockets
from lab.proxies.embedded.bodies import ApiError
from lab.proxies.embedded.listener import Cutting
from lab.proxies.embedded.proxy import Proxy
from lab.proxies.embedded.timers import Timers


class Collection:
    """Changes one after the other; each is complete when its call returns.

    `seed` decides about all chance: which connections a toxicity hits, jitter, sizes of slices.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: str, cutting: Cutting) -> None:
        self._timers = Timers(loop)
        self._seed = seed
        self._cutting = cutting
        self._changing = asyncio.Lock()
        self._proxies: dict[str, Proxy] = {}

    def get(self, name: str) -> Proxy:
        """A proxy by its name."""
        try:
            return self._proxies[name]
        except KeyError:
            raise ApiError("proxy not found", 404) from None

    def all(self) -> Iterable[Proxy]:
        """Every proxy, by name."""
        return [self._proxies[name] for name in sorted(self._proxies)]

    async def create(self, body: Mapping[str, Any]) -> Proxy:
        """Make one proxy, and start it unless it says otherwise."""
        async with self._changing:
            proxy, enabled = self._read(body, "")
            if proxy.name in self._proxies:
                raise ApiError("proxy already exists", 409)
            if enabled:
                await _start(proxy)
            self._proxies[proxy.name] = proxy
            return proxy

    async def populate(self, entries: Any, done: list[Proxy]) -> None:
        """Make or replace many; one that is as it should be already stays as it is.

        `done` gets those that are there, also when a later one fails.
        """
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise bodies.bad("not an array of proxies")
        async with self._changing:
            read = [self._read(entry, f" at proxy {n}") for n, entry in enumerate(entries, 1)]
            for proxy, enabled in read:
                there = self._proxies.get(proxy.name)
                if there and not await _differs(there, proxy.listen, proxy.upstream):
                    done.append(there)
                    continue
                if there:
                    there.forget()
                if enabled:
                    await _start(proxy)
                self._proxies[proxy.name] = proxy
                done.append(proxy)

    async def update(self, name: str, body: Mapping[str, Any]) -> Proxy:
        """Change where a proxy listens or leads, or whether it is enabled."""
        async with self._changing:
            proxy = self.get(name)
            listen = bodies.field(body, "listen", str, proxy.listen)
            upstream = bodies.field(body, "upstream", str, proxy.upstream)
            enabled = bodies.field(body, "enabled", bool, proxy.enabled)
            if await _differs(proxy, listen, upstream):
                holders = set(proxy.holders)
                proxy.forget()
                proxy.listen, proxy.upstream = listen, upstream
                for stream, why in holders:
                    await proxy.cut(frozenset({stream}), why)
            if enabled and not proxy.enabled:
                await _start(proxy)
            elif proxy.enabled and not enabled:
                proxy.stop()
            return proxy

    async def delete(self, name: str) -> None:
        """Stop a proxy and forget it."""
        async with self._changing:
            self.get(name).forget()
            del self._proxies[name]

    async def reset(self) -> None:
        """Enable all proxies and remove all toxics; cuts stay."""
        async with self._changing:
            for proxy in self.all():
                await _start(proxy)
                for toxic in list(proxy.toxics()):
                    proxy.remove(toxic.name)

    async def cut(self, names: Sequence[str], streams: frozenset[Stream], why: str) -> None:
        """Let nothing of these streams pass; all of these proxies must exist."""
        async with self._changing:
            for proxy in [self.get(name) for name in names]:
                await proxy.cut(streams, why)

    async def mend(self, names: Sequence[str], streams: frozenset[Stream], why: str) -> None:
        """Cut these streams no longer in that name; all of these proxies must exist."""
        async with self._changing:
            for proxy in [self.get(name) for name in names]:
                proxy.mend(streams, why)

    def close(self) -> None:
        """The end of all of them."""
        for proxy in self._proxies.values():
            proxy.forget()
        self._proxies.clear()
        self._timers.close()

    def _read(self, body: Mapping[str, Any], where: str) -> tuple[Proxy, bool]:
        name, upstream = (bodies.field(body, key, str, "") for key in ("name", "upstream"))
        listen = bodies.field(body, "listen", str, "")
        enabled = bodies.field(body, "enabled", bool, default=True)
        if not name:
            raise bodies.missing(f"name{where}")
        if not upstream:
            raise bodies.missing(f"upstream{where}")
        made = Proxy(
            name, listen, upstream, timers=self._timers, seed=self._seed, cutting=self._cutting
        )
        return made, enabled


def proxy_json(proxy: Proxy) -> dict[str, Any]:
    """A proxy as the API shows it."""
    return {
        "name": proxy.name,
        "listen": proxy.listen,
        "upstream": proxy.upstream,
        "enabled": proxy.enabled,
        "toxics": [bodies.toxic_json(toxic) for toxic in proxy.listed()],
    }


async def _differs(proxy: Proxy, listen: str, upstream: str) -> bool:
    """Whether it listens or leads elsewhere."""
    try:
        resolved = sockets.join(await sockets.resolve(listen))
    except ValueError as error:
        raise ApiError(str(error), 500) from None
    return proxy.listen != resolved or proxy.upstream != upstream


async def _start(proxy: Proxy) -> None:
    try:
        await proxy.start()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise ApiError(f"listen tcp {proxy.listen}: bind: {why}", 500) from None
    except ValueError as error:
        raise ApiError(f"listen tcp: {error}", 500) from None
