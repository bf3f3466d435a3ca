"""Control of a Toxiproxy server: `lab.proxies.Proxies` over the `toxiproxy-python` library.

The library knows one server per process (a class attribute), waits for ever, has no call that
updates a toxic, and reports three error statuses only. `_Consumer` takes the place of the one
class in it that talks HTTP and adds all of that; nothing outside of this module knows the library.

Never edit a chain whose peer does not read: Toxiproxy 2.12 then waits for the peer with the
chain locked, and closing the connections at that point makes the wait endless (the one goroutine
that would empty the chain needs the lock itself; Shopify/toxiproxy#558). The right order is to look
first, and where a peer does not read, to close the connections *before* the edit. A peer can still
stop reading in between. Once an edit hangs, so does every other order to that proxy, closing it
included, and nothing but a new server helps: it gets the same proxies and toxics as the old one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import requests
import toxiproxy.proxy
import toxiproxy.server
from toxiproxy.api import APIConsumer

from lab.errors import EngineError
from lab.proxies import ProxySpec, Toxic

DEADLINE_S = 4.0
"""Closing a proxy waits for a dial that is under way: in the lab's network, for 3 s at most."""

_THREADS = 16
_RETRY_S = 0.02
_EDIT = "an edit"

T = TypeVar("T")
Stalled = Callable[[str], Awaitable[bool]]
"""Whether a peer of a connection of that proxy does not read what it is sent."""
Renew = Callable[[str], Awaitable[None]]
"""Told why: ends the server, and starts a new one that answers at the same URL."""


class _RefusedError(Exception):
    """The server answered, but not with what was asked for."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _LostError(Exception):
    """The server did not answer in time, or is gone; its text says which."""


class _Server:
    """Address of one server and the connections to it, one per thread."""

    def __init__(self, url: str, deadline_s: float) -> None:
        self.url = url
        self.deadline_s = deadline_s
        self._local = threading.local()

    def request(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        """The answer to a request.

        Raises:
            _RefusedError: it is a refusal.
            requests.RequestException: there is none.
        """
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # no HTTP proxy between the lab and its own container
        response = session.request(method, self.url + path, timeout=self.deadline_s, **kwargs)
        if not response.ok:
            raise _RefusedError(response.status_code, response.text.strip())
        return response


_server: ContextVar[_Server] = ContextVar("_server")


class _Consumer(APIConsumer):  # type: ignore[misc]
    """Sends what the library asks for to the server of the current call."""

    @classmethod
    def get(cls, url: str, params: Any = None, **kwargs: Any) -> requests.Response:
        return _server.get().request("GET", url, params=params, **kwargs)

    @classmethod
    def delete(cls, url: str, **kwargs: Any) -> requests.Response:
        return _server.get().request("DELETE", url, **kwargs)

    @classmethod
    def post(cls, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> requests.Response:
        return _server.get().request("POST", url, data=data, json=json, **kwargs)


toxiproxy.proxy.APIConsumer = _Consumer
toxiproxy.server.APIConsumer = _Consumer


class ToxiproxyClient:
    """One Toxiproxy server.

    Args:
        url: its API, such as `http://127.0.0.1:8474`.
        stalled: tells whether a proxy has a peer that does not read; None when nobody can tell.
        renew: the last resort when an order hangs; None when there is none.
        deadline_s: how long one request may take.
    """

    def __init__(
        self,
        url: str,
        stalled: Stalled | None = None,
        renew: Renew | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._server = _Server(url, deadline_s)
        self._stalled = stalled
        self._renew = renew
        self._renewing = asyncio.Lock()
        self._servers = 1
        self._specs: dict[str, ProxySpec] = {}
        self._chains: dict[str, dict[str, Toxic]] = {}
        """What was ordered, by proxy and name, in the order in which the chain has it."""
        self._disabled_for: dict[str, set[str]] = {}
        self._enforcing: dict[str, asyncio.Lock] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="toxiproxy")

    async def version(self) -> str:
        """The server's version."""
        answer = await self._call("version", lambda: _Consumer.get("/version").json())
        return str(answer["version"])

    async def ready(self, limit_s: float) -> None:
        """Wait until it takes orders.

        Raises:
            EngineError: it did not within so many seconds.
        """
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    try:
                        await self.version()
                    except EngineError:
                        await asyncio.sleep(_RETRY_S)
                    else:
                        return
        except TimeoutError:
            raise EngineError(f"the proxy did not start within {limit_s:.0f} s") from None

    async def create(self, proxies: Sequence[ProxySpec]) -> None:
        """Create these proxies, enabled, without toxics.

        Raises:
            EngineError: one of them cannot listen, or the server does not answer.
        """
        await self._call("creating proxies", lambda: _populate(proxies, enabled=True))
        self._specs.update({p.name: p for p in proxies})

    async def lead(self, proxy: str, upstream: str) -> None:
        """Let a proxy dial another address from now on; that closes the connections it has."""
        spec = self._specs[proxy]
        if spec.upstream == upstream:
            return
        self._specs[proxy] = replace(spec, upstream=upstream)
        path = f"/proxies/{proxy}"
        await self._order(
            f"leading {proxy} to {upstream}",
            lambda: _Consumer.post(path, json={"upstream": upstream}),
        )

    async def add(self, proxy: str, toxic: Toxic) -> None:
        """Add a toxic.

        One of the same name, kind and direction is updated in place, which disturbs no connection;
        any other of that name is removed first.
        """
        there = {t.name: t for t in await self._toxics_of(proxy)}.get(toxic.name)
        if there and (there.kind, there.stream) != (toxic.kind, toxic.stream):
            await self.remove(proxy, toxic.name)
            there = None
        chain = self._chains.setdefault(proxy, {})
        before = dict(chain)
        chain[toxic.name] = toxic
        try:
            if there:
                path = f"/proxies/{proxy}/toxics/{toxic.name}"
                update = partial(_Consumer.post, path, json=_body(toxic))
                await self._edit(proxy, f"updating {toxic.name}", update)
            else:
                add = partial(self._proxy(proxy).add_toxic, **_body(toxic))
                await self._edit(proxy, f"adding {toxic.name}", add)
        except EngineError:
            self._chains[proxy] = before
            raise

    async def remove(self, proxy: str, toxic: str) -> None:
        """Remove a toxic; removing one that is not there changes nothing."""
        self._chains.get(proxy, {}).pop(toxic, None)
        if any(t.name == toxic for t in await self._toxics_of(proxy)):
            remove = partial(self._proxy(proxy).destroy_toxic, toxic)
            await self._edit(proxy, f"removing {toxic}", remove)

    async def set_enabled(self, proxy: str, enabled: bool, why: str = "") -> None:  # noqa: FBT001 - as the protocol
        """A disabled proxy refuses connections and closes the ones it has.

        It stays disabled for as long as anybody has a reason to: enabling takes back one's own.
        """
        reasons = self._disabled_for.setdefault(proxy, set())
        if enabled:
            reasons.discard(why)
        else:
            reasons.add(why)
        await self._enforce(proxy)

    async def _enforce(self, proxy: str) -> None:
        """Make the server do what the reasons say, one order after the other."""
        library = self._proxy(proxy)
        async with self._enforcing.setdefault(proxy, asyncio.Lock()):
            if self._disabled_for.get(proxy):
                await self._order(f"disabling {proxy}", library.disable)
            else:
                await self._order(f"enabling {proxy}", library.enable)

    async def toxics(self) -> dict[str, list[Toxic]]:
        """All toxics in force, by proxy; proxies without any are left out."""
        listed = await self._listed()
        return {
            name: [_toxic(toxic) for toxic in proxy["toxics"]]
            for name, proxy in listed.items()
            if proxy["toxics"]
        }

    async def disabled(self) -> list[str]:
        """Names of the proxies that are disabled."""
        return [name for name, proxy in (await self._listed()).items() if not proxy["enabled"]]

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _edit(self, proxy: str, what: str, edit: Callable[[], Any]) -> None:
        """Edit a proxy's chain; where a peer does not read, with its connections closed before."""
        if self._stalled is None or not await self._stalled(proxy):
            await self._order(f"{what} on {proxy}", edit)
            return
        await self.set_enabled(proxy, enabled=False, why=_EDIT)
        try:
            await self._order(f"{what} on {proxy}", edit)
        finally:
            await self.set_enabled(proxy, enabled=True, why=_EDIT)

    async def _toxics_of(self, proxy: str) -> list[Toxic]:
        found = await self._call(f"toxics of {proxy}", self._proxy(proxy).toxics)
        return [_toxic(vars(toxic)) for toxic in found.values()]

    async def _listed(self) -> dict[str, Any]:
        listed = await self._call("proxies", lambda: _Consumer.get("/proxies").json())
        return dict(listed)

    def _proxy(self, name: str) -> Any:
        """The library's object for a proxy, made without asking the server for all of them."""
        spec = self._specs.get(name, ProxySpec(name, "", ""))
        return toxiproxy.Proxy(name=name, listen=spec.listen, upstream=spec.upstream, enabled=True)

    async def _order(self, what: str, order: Callable[[], Any]) -> None:
        """Have the server do what is already written down here.

        Where it hangs, a new one does that, and everything else that was ordered.
        """
        servers = self._servers
        with _in_words(what):
            try:
                await self._answer(order)
            except _LostError as error:
                await self._renewed(servers, what, error)

    async def _call(self, what: str, question: Callable[[], T]) -> T:
        """An answer of the server; where it hangs, a new one is asked."""
        servers = self._servers
        with _in_words(what):
            try:
                return await self._answer(question)
            except _LostError as error:
                await self._renewed(servers, what, error)
            return await self._answer(question)

    async def _renewed(self, servers: int, what: str, error: _LostError) -> None:
        """Wait for a server later than the one that was lost; start it if nobody else does."""
        async with self._renewing:
            if self._servers > servers:
                return
            if self._renew is None or not self._specs:
                raise error
            await self._renew(f"{what}: {error}")
            await self._restore()
            self._servers += 1

    async def _restore(self) -> None:
        """Order a new server everything that is in force; toxics before the proxy accepts."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._server.deadline_s
        while True:
            try:
                await self._answer(partial(_populate, self._specs.values(), enabled=False))
                break
            except _LostError:
                if loop.time() > until_s:
                    raise
                await asyncio.sleep(_RETRY_S)
        for proxy in self._specs:
            library = self._proxy(proxy)
            for toxic in self._chains.get(proxy, {}).values():
                await self._answer(partial(library.add_toxic, **_body(toxic)))
            if not self._disabled_for.get(proxy):
                await self._answer(library.enable)

    async def _answer(self, function: Callable[[], T]) -> T:
        """What the server answers.

        Raises:
            _LostError: nothing.
            _RefusedError: something else than was asked for.
        """

        def call() -> T:
            _server.set(self._server)
            return function()

        try:
            # A context of its own for each call: threads of the pool are shared by all of them.
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, copy_context().run, call
            )
        except requests.Timeout:
            raise _LostError(f"no answer within {self._server.deadline_s:g} s") from None
        except requests.RequestException as error:
            raise _LostError(f"it is gone ({error})") from error


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Errors of the server, as the rest of the lab knows errors."""
    try:
        yield
    except _LostError as error:
        raise EngineError(f"Toxiproxy: {what}: {error}") from error
    except _RefusedError as error:
        raise EngineError(f"Toxiproxy: {what}: {error} (status {error.status})") from error


def _populate(proxies: Iterable[ProxySpec], *, enabled: bool) -> None:
    """One request for all: the library would list all proxies before each one that it creates."""
    body = [
        {"name": p.name, "listen": p.listen, "upstream": p.upstream, "enabled": enabled}
        for p in proxies
    ]
    _Consumer.post("/populate", json=body)


def _body(toxic: Toxic) -> dict[str, Any]:
    return {
        "name": toxic.name,
        "type": toxic.kind,
        "stream": toxic.stream,
        "toxicity": toxic.toxicity,
        "attributes": dict(toxic.attributes),
    }


def _toxic(body: dict[str, Any]) -> Toxic:
    return Toxic(
        body["name"], body["type"], body["stream"], dict(body["attributes"]), body["toxicity"]
    )
