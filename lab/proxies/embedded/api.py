"""Toxiproxy's HTTP API, with its status codes and error bodies, and the lab's additions to it.

POST /lab/cut    {"proxies": [names], "stream": s, "why": w}   no byte and no new connection passes
POST /lab/mend   {"proxies": [names], "stream": s, "why": w}   s: upstream, downstream, both (the
default); cut for as long as anybody (w) wants it
POST /lab/reset  {"proxies": [names]}
GET  /lab/cuts                          -> {name: [w]}
GET  /lab/traffic                       -> {name: {"chunks": n, "bytes": n}}
POST /lab/probe  {"proxy": name, "timeout_s": s, "port": n}
-> {"outcome": …, "seconds": s, "connect_s": s | null}
POST /lab/exchange {"proxy": name, "timeout_s": s, "saying": [[text, times], …]}
-> {"outcome": …, "seconds": s, "sent_bytes": n, "received_bytes": n, "first_s": s, "last_s": s}
POST /lab/passes {"proxy": name, "timeout_s": s}   -> {"upstream": bool, "downstream": bool}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.proxies import Stream, Toxic, streams
from lab.proxies.embedded import bodies
from lab.proxies.embedded.bodies import ApiError
from lab.proxies.embedded.collection import Collection, proxy_json
from lab.proxies.embedded.probe import exchange, probe
from lab.proxies.greetings import Saying, spoken

API_VERSION = "2.12.0"
"""The Toxiproxy whose API this is."""

_NO_CONTENT = 204
_PROBE_TIMEOUT_S = 1.0


class Api:
    """The handlers; each gets a request and changes or shows proxies of one collection."""

    def __init__(self, proxies: Collection) -> None:
        self._proxies = proxies

    async def version(self, _: Request) -> Response:
        """Which API is spoken."""
        return JSONResponse({"version": API_VERSION})

    async def reset(self, _: Request) -> Response:
        """Enable all proxies, remove all toxics."""
        await self._proxies.reset()
        return Response(status_code=_NO_CONTENT)

    async def index(self, _: Request) -> Response:
        """All proxies."""
        return JSONResponse({proxy.name: proxy_json(proxy) for proxy in self._proxies.all()})

    async def create(self, request: Request) -> Response:
        """A new proxy."""
        proxy = await self._proxies.create(bodies.an_object(await request.body()))
        return JSONResponse(proxy_json(proxy), 201)

    async def populate(self, request: Request) -> Response:
        """Many proxies; the answer shows those that are there, also with an error."""
        done: list[Any] = []
        try:
            await self._proxies.populate(bodies.parsed(await request.body()), done)
        except ApiError as error:
            shown = [proxy_json(proxy) for proxy in done] or None
            body = {"error": error.message, "status": error.status, "proxies": shown}
            return JSONResponse(body, error.status)
        return JSONResponse({"proxies": [proxy_json(proxy) for proxy in done]}, 201)

    async def show(self, request: Request) -> Response:
        """One proxy."""
        return JSONResponse(proxy_json(self._proxies.get(request.path_params["proxy"])))

    async def update(self, request: Request) -> Response:
        """Change a proxy."""
        name = request.path_params["proxy"]
        self._proxies.get(name)
        body = bodies.an_object(await request.body())
        return JSONResponse(proxy_json(await self._proxies.update(name, body)))

    async def delete(self, request: Request) -> Response:
        """The end of a proxy."""
        await self._proxies.delete(request.path_params["proxy"])
        return Response(status_code=_NO_CONTENT)

    async def toxics(self, request: Request) -> Response:
        """All toxics of a proxy."""
        proxy = self._proxies.get(request.path_params["proxy"])
        return JSONResponse([bodies.toxic_json(toxic) for toxic in proxy.listed()])

    async def add_toxic(self, request: Request) -> Response:
        """A new toxic."""
        proxy = self._proxies.get(request.path_params["proxy"])
        toxic = bodies.toxic(bodies.an_object(await request.body()))
        if proxy.toxic(toxic.name):
            raise ApiError("toxic already exists", 409)
        proxy.put(toxic)
        return JSONResponse(bodies.toxic_json(toxic))

    async def toxic(self, request: Request) -> Response:
        """One toxic."""
        return JSONResponse(bodies.toxic_json(self._toxic(request)))

    async def update_toxic(self, request: Request) -> Response:
        """Other attributes, or another toxicity."""
        raw = await request.body()
        old = self._toxic(request)
        new = bodies.changed(old, bodies.an_object(raw))
        self._proxies.get(request.path_params["proxy"]).put(new)
        return JSONResponse(bodies.toxic_json(new))

    async def remove_toxic(self, request: Request) -> Response:
        """The end of a toxic."""
        toxic = self._toxic(request)
        self._proxies.get(request.path_params["proxy"]).remove(toxic.name)
        return Response(status_code=_NO_CONTENT)

    async def cut(self, request: Request) -> Response:
        """Nothing passes."""
        await self._proxies.cut(*_cut(bodies.an_object(await request.body())))
        return Response(status_code=_NO_CONTENT)

    async def mend(self, request: Request) -> Response:
        """Everything passes."""
        await self._proxies.mend(*_cut(bodies.an_object(await request.body())))
        return Response(status_code=_NO_CONTENT)

    async def reset_connections(self, request: Request) -> Response:
        """Whatever is open is reset."""
        for name in _names(bodies.an_object(await request.body())):
            self._proxies.get(name).reset()
        return Response(status_code=_NO_CONTENT)

    async def cuts(self, _: Request) -> Response:
        """In whose names proxies are cut."""
        return JSONResponse(
            {
                proxy.name: sorted({why for _, why in proxy.holders})
                for proxy in self._proxies.all()
                if proxy.is_cut
            }
        )

    async def traffic(self, _: Request) -> Response:
        """What each proxy passed on, both ways, since it exists, without probes."""
        return JSONResponse(
            {
                proxy.name: {"chunks": proxy.tally.chunks, "bytes": proxy.tally.bytes}
                for proxy in self._proxies.all()
            }
        )

    async def probe(self, request: Request) -> Response:
        """One try of a proxy."""
        body = bodies.an_object(await request.body())
        proxy = self._proxies.get(bodies.field(body, "proxy", str, ""))
        timeout_s = bodies.field(body, "timeout_s", float, _PROBE_TIMEOUT_S)
        tried = await probe(proxy, timeout_s, bodies.field(body, "port", int, None))
        return JSONResponse(tried._asdict())

    async def passes(self, request: Request) -> Response:
        """Which streams of an open connection pass."""
        body = bodies.an_object(await request.body())
        proxy = self._proxies.get(bodies.field(body, "proxy", str, ""))
        timeout_s = bodies.field(body, "timeout_s", float, _PROBE_TIMEOUT_S)
        return JSONResponse(await proxy.canary.passes(timeout_s))

    async def exchange(self, request: Request) -> Response:
        """One longer try of a proxy."""
        body = bodies.an_object(await request.body())
        proxy = self._proxies.get(bodies.field(body, "proxy", str, ""))
        timeout_s = bodies.field(body, "timeout_s", float, _PROBE_TIMEOUT_S)
        saying = _saying(bodies.field(body, "saying", list, []))
        return JSONResponse((await exchange(proxy, timeout_s, spoken(saying)))._asdict())

    def _toxic(self, request: Request) -> Toxic:
        found = self._proxies.get(request.path_params["proxy"]).toxic(request.path_params["toxic"])
        if found is None:
            raise ApiError("toxic not found", 404)
        return found


class NoBrowsers:
    """No page that a browser shows may reach the API; they all call themselves Mozilla."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        agents = [value for key, value in scope.get("headers", ()) if key == b"user-agent"]
        if any(agent.startswith(b"Mozilla/") for agent in agents):
            await PlainTextResponse("User agent not allowed\n", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def application(proxies: Collection) -> ASGIApp:
    """The whole API."""
    api = Api(proxies)

    def at(path: str, method: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        methods = ["POST", "PATCH"] if method == "POST or PATCH" else [method]
        return Route(path, handler, methods=methods)

    one, toxics = "/proxies/{proxy}", "/proxies/{proxy}/toxics"
    routes = [
        at("/version", "GET", api.version),
        at("/reset", "POST", api.reset),
        at("/populate", "POST", api.populate),
        at("/proxies", "GET", api.index),
        at("/proxies", "POST", api.create),
        at(one, "GET", api.show),
        at(one, "POST or PATCH", api.update),
        at(one, "DELETE", api.delete),
        at(toxics, "GET", api.toxics),
        at(toxics, "POST", api.add_toxic),
        at(f"{toxics}/{{toxic}}", "GET", api.toxic),
        at(f"{toxics}/{{toxic}}", "POST or PATCH", api.update_toxic),
        at(f"{toxics}/{{toxic}}", "DELETE", api.remove_toxic),
        at("/lab/cut", "POST", api.cut),
        at("/lab/mend", "POST", api.mend),
        at("/lab/cuts", "GET", api.cuts),
        at("/lab/reset", "POST", api.reset_connections),
        at("/lab/traffic", "GET", api.traffic),
        at("/lab/probe", "POST", api.probe),
        at("/lab/exchange", "POST", api.exchange),
        at("/lab/passes", "POST", api.passes),
    ]
    return NoBrowsers(Starlette(routes=routes, exception_handlers={ApiError: _refused}))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for this class alone
    return JSONResponse({"error": error.message, "status": error.status}, error.status)


def _cut(body: Any) -> tuple[list[str], frozenset[Stream], str]:
    """Which proxies, which of their streams, and in whose name."""
    way = bodies.field(body, "stream", str, "both")
    if way not in {"both", "upstream", "downstream"}:
        raise ApiError("stream was invalid, can be upstream, downstream or both", 400)
    return _names(body), streams(way), bodies.field(body, "why", str, "")


def _names(body: Any) -> list[str]:
    names = bodies.field(body, "proxies", list, [])
    if not all(isinstance(name, str) for name in names):
        raise bodies.bad("proxies: names expected")
    return list(names)


def _saying(items: list[Any]) -> Saying:
    for item in items:
        if not (isinstance(item, list) and [type(part) for part in item] == [str, int]):
            raise bodies.bad("saying: pairs of a text and a number expected")
    return [(text, times) for text, times in items]
