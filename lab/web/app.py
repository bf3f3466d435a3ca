"""The routes. Everything is read-only but one POST, which notes what the person predicts.

GET  /                        the run that goes on, else the library
GET  /runs                    all runs
GET  /runs/ID                 the page of a run, live or finished
GET  /runs/ID/events          its frames as Server-Sent Events; `Last-Event-ID` resumes
GET  /runs/ID/at?t=12         the page as it was at run second 12
GET  /runs/ID/report.html     the finished run as one file
POST /runs/ID/guess           `{"design": ..., "guess": "breaks" | "holds"}`, with the token
GET  /compare?a=ID&b=ID       two runs on one time axis
GET  /static/NAME             style, scripts, chart library
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable
from functools import lru_cache
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab import store
from lab.errors import UsageError
from lab.messages import Guessed
from lab.page.assets import STATIC
from lab.report import html as report
from lab.web import compare, library, shell
from lab.web.frames import View, at, frame, view
from lab.web.hub import Hub
from lab.web.recording import Recording, recorded

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_HOSTS = ["127.0.0.1", "localhost"]

_TOGETHER_S = 0.02
"""Messages of one second come within milliseconds of each other: one frame for all of them."""

_BEAT_S = 2.0
_PAGES_AT_MOST = 32
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_RECORDINGS_KEPT = 4

Guesses = Callable[[Guessed], None]


class App:
    """The pages of all runs under a folder, and of the one that goes on, if any."""

    def __init__(self, runs: Path, hub: Hub | None = None, guesses: Guesses | None = None) -> None:
        self._runs = runs
        self.hub = hub
        self._guesses = guesses
        self.token = secrets.token_urlsafe(16)
        self._recorded = lru_cache(maxsize=_RECORDINGS_KEPT)(recorded)

    def asgi(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", self._home),
            Route("/runs", self._library),
            Route("/runs/{run}", self._page),
            Route("/runs/{run}/events", self._events),
            Route("/runs/{run}/at", self._at),
            Route("/runs/{run}/report.html", self._report),
            Route("/runs/{run}/guess", self._guess, methods=["POST"]),
            Route("/compare", self._compare),
            Route("/static/{name:path}", self._static),
        ]
        middleware = [
            Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False),
            Middleware(_Headers),
        ]
        return Starlette(
            routes=routes, middleware=middleware, exception_handlers={UsageError: _not_found}
        )

    async def _recording(self, run: str) -> tuple[Recording, Hub | None]:
        """A run's recording: of the one that goes on, or from disk."""
        if self.hub is not None and run == self._live_id():
            return self.hub.recording, self.hub
        folder = await asyncio.to_thread(store.find_run, self._runs, run)
        return await asyncio.to_thread(self._recorded, folder), None

    def _live_id(self) -> str:
        hello = self.hub.recording.state().hello if self.hub else None
        return hello.run_id if hello else ""

    async def _home(self, _: Request) -> Response:
        if self.hub is None:
            return RedirectResponse("/runs")
        if run := self._live_id():
            return RedirectResponse(f"/runs/{run}")
        return HTMLResponse(shell.starting(self.hub.recording.state().waiting_for))

    async def _library(self, request: Request) -> Response:
        found = await asyncio.to_thread(library.find, self._runs)
        live = self._live_id()
        return HTMLResponse(library.page(found, live, dict(request.query_params)))

    async def _page(self, request: Request) -> Response:
        run = request.path_params["run"]
        recording, hub = await self._recording(run)
        shown = view(recording)
        assert shown.state.hello is not None  # noqa: S101 - found by it, or read from disk
        growing = hub is not None and not hub.over
        page = shell.run_page(shown, shown.state.hello.run_id, growing=growing, token=self.token)
        return HTMLResponse(page)

    async def _events(self, request: Request) -> Response:
        recording, hub = await self._recording(request.path_params["run"])
        if hub is not None and hub.pages >= _PAGES_AT_MOST:
            return Response("too many pages are open", 503)
        last = request.headers.get("last-event-id", "")
        shown = view(recording, int(last)) if last.isdecimal() else None
        stream = _frames(recording, hub, shown)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _at(self, request: Request) -> Response:
        recording, _ = await self._recording(request.path_params["run"])
        try:
            moment_s = float(request.query_params.get("t", ""))
        except ValueError:
            moment_s = math.nan
        if math.isnan(moment_s):
            return Response("`t` is a run second", 400)
        whole = request.query_params.get("whole") == "1"
        return JSONResponse(at(recording, moment_s, whole=whole))

    async def _report(self, request: Request) -> Response:
        recording, _ = await self._recording(request.path_params["run"])
        record = recording.state().record
        if record is None:
            return Response("the run is not over", 409)
        name = f"{record.experiment.name}-{record.run_id}.html"
        text = await asyncio.to_thread(report.page, record)
        return HTMLResponse(text, headers={"content-disposition": f'attachment; filename="{name}"'})

    async def _guess(self, request: Request) -> Response:
        sent = request.headers.get("x-lab-token", "")
        origin = request.headers.get("origin")
        if not secrets.compare_digest(sent.encode(), self.token.encode()) or (
            origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}"
        ):
            return Response("not from this page", 403)
        recording, hub = await self._recording(request.path_params["run"])
        state = recording.state()
        if hub is None or self._guesses is None or not state.may_guess:
            return Response("too late to predict", 409)
        try:
            body = json.loads(await request.body())
            design, guess = body["design"], body["guess"]
        except (ValueError, KeyError, TypeError):
            return Response("expects a design and a guess", 400)
        if design not in state.designs or guess not in ("breaks", "holds"):
            return Response("expects a design and a guess", 400)
        self._guesses(Guessed(state.clock_s, design, guess))
        return Response(status_code=204)

    async def _compare(self, request: Request) -> Response:
        chosen = [request.query_params.get(side, "") for side in ("a", "b")]
        if not all(chosen):
            return RedirectResponse("/runs")
        pair = [(await self._recording(run))[0] for run in chosen]
        records = [recording.state().record for recording in pair]
        if records[0] is None or records[1] is None:
            return Response("one of the runs is not over", 409)
        numbers = [r.numbers(record) for r, record in zip(pair, records, strict=True) if record]
        return HTMLResponse(await asyncio.to_thread(compare.page, numbers[0], numbers[1]))

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or ".." in name or not (path := STATIC / name).is_file():
            return Response("no such file", 404)
        return Response(path.read_bytes(), media_type=kind)


async def _frames(
    recording: Recording, hub: Hub | None, shown: View | None
) -> AsyncIterator[bytes]:
    """Frames as Server-Sent Events, from what the page shows to the end of the run.

    A page that reads slowly is asked for nothing meanwhile, and then gets one frame for all it
    missed.
    """
    if hub is None:
        yield _event(frame(recording, shown, view(recording)))
        return
    hub.pages += 1
    try:
        while True:
            new = view(recording)
            yield _event(frame(recording, shown, new))
            shown = new
            if hub.over and len(recording) == shown.count:
                return
            while not await hub.grown(shown.count, _BEAT_S):
                yield b"event: beat\ndata:\n\n"
            await asyncio.sleep(_TOGETHER_S)
    finally:
        hub.pages -= 1


def _event(body: dict[str, object]) -> bytes:
    text = json.dumps({**body, "sent": time.time()}, separators=(",", ":"), ensure_ascii=False)
    return f"event: frame\nid: {body['n']}\nretry: 500\ndata: {text}\n\n".encode()


async def _not_found(_: Request, error: Exception) -> Response:
    return Response(str(error), 404)


class _Headers:
    """Adds the headers that keep a page to itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers)
