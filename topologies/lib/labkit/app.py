"""The frame of a service: routes, metrics, readiness and failpoints in one ASGI application."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from labkit.failpoint import POINTS, REQUEST, FailpointError, failpoint
from labkit.metrics import DURATION, INFLIGHT, REQUESTS
from labkit.slots import FullError

ADMIN = ("/metrics", "/healthz", "/_lab/")
"""Paths that are neither counted nor made to fail: they are about the service, not its work."""


def service(
    *routes: Route,
    lifespan: Lifespan[Starlette] | None = None,
    errors: Mapping[Any, Callable[..., Any]] | None = None,
) -> Starlette:
    """An application with these routes and what the lab expects of every service.

    Args:
        *routes: what this service is there for.
        lifespan: opens what the service needs before it listens, and closes it.
        errors: exception class -> handler, as in Starlette.
    """
    _allow_many_connections()
    admin = (
        Route("/metrics", _metrics),
        Route("/healthz", _healthz),
        Mount("/_lab", app=POINTS.asgi),
    )
    return Starlette(
        routes=[*admin, *routes],
        middleware=[Middleware(_Observed)],
        exception_handlers={FullError: _full, FailpointError: _failed, **(errors or {})},
        lifespan=lifespan,
    )


def _allow_many_connections() -> None:
    """Thousands of callers at once are normal here; some engines start with room for 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Observed:
    """Counts and times every request, each of which passes the failpoint `request`.

    Plain ASGI: Starlette's `BaseHTTPMiddleware` costs a task and two queues per request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(ADMIN):
            return await self._app(scope, receive, send)
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began_s = time.perf_counter()
        INFLIGHT.inc()
        try:
            await self._answer(scope, receive, noting)
        finally:
            INFLIGHT.dec()
            route = getattr(scope.get("route"), "path", "")
            DURATION.labels(route).observe(time.perf_counter() - began_s)
            REQUESTS.labels(route, status).inc()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await failpoint(REQUEST)
        except FailpointError as error:
            await PlainTextResponse(f"{error}\n", 500)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _full(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("busy, come back later\n", status_code=503)


async def _failed(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", status_code=500)
