"""A URL shortener: a short code in, a redirect out.

DB_POOL   `none` opens a connection per request; a number shares that many
DB_RESET  `off` saves the round trip that cleans a pooled connection after use
CACHE     `on` asks Valkey first
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import environ

import asyncpg
from cache import Cache
from database import Database, PerRequest, Pooled
from labkit import count, service
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

LEAKS = Counter("app_session_leaks", "Requests that ran with another user's session settings.")

# Asking for the session's user costs no round trip of its own.
FOLLOW = "SELECT url, current_setting('lab.user', true) FROM links WHERE code = $1"
REPORT = "SELECT set_config('lab.user', $2, false), url FROM links WHERE code = $1"
SHORTEN = "INSERT INTO links (url) VALUES ($1) RETURNING code"

POOL = count("DB_POOL")
RESET = environ["DB_RESET"] == "on"
database: Database = PerRequest() if POOL is None else Pooled(POOL, reset=RESET)
cache = Cache(on=environ["CACHE"] == "on")


async def follow(request: Request) -> Response:
    """Where a short link leads; nobody is logged in here."""
    code = request.path_params["code"]
    url = await cache.get(code)
    if url is None:
        row = await database.fetch(FOLLOW, code)
        if row is None:
            return PlainTextResponse("no such link\n", status_code=404)
        url, user = row
        if user:
            LEAKS.inc()
        await cache.put(code, url)
    return RedirectResponse(url, status_code=302)


async def report(request: Request) -> Response:
    """What a link's owner sees. The query runs as that user, by a setting of the session."""
    code = request.path_params["code"]
    row = await database.fetch(REPORT, code, f"owner-of-{code}")
    if row is None:
        return PlainTextResponse("no such link\n", status_code=404)
    return JSONResponse({"code": code, "owner": row[0], "url": row[1]})


async def shorten(request: Request) -> Response:
    """A new short link for {"url": ...}."""
    row = await database.fetch(SHORTEN, (await request.json())["url"])
    return JSONResponse({"code": row[0]}, status_code=201)


async def refused(_request: Request, error: Exception) -> Response:
    """The database has no connection left."""
    return PlainTextResponse(f"{error}\n", status_code=500)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Connections are open before the first request and closed after the last."""
    async with database, cache:
        yield


app = service(
    Route("/links", shorten, methods=["POST"]),
    Route("/report/{code}", report),
    Route("/{code}", follow),
    lifespan=lifespan,
    errors={asyncpg.TooManyConnectionsError: refused},
)
