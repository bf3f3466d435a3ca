"""The server: uvicorn in a thread of its own, on loopback, so that no page can hold up a run.

uvicorn takes SIGINT over only in the main thread; here Ctrl-C stays with the run, which heals.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from lab.errors import EngineError
from lab.messages import Message
from lab.web.app import App, Guesses
from lab.web.hub import Hub
from lab.web.recording import Recording

HOST = "127.0.0.1"
_STARTS_S = 10.0
_ENDS_S = 3.0
_LAST_FRAME_S = 2.0
"""How long the end of a run waits for open pages to have its verdict."""

_STEP_S = 0.02


class PageServer:
    """Serves the pages while it is open.

    Args:
        runs: the folder of all runs.
        port: 0 takes a free one.
        live: whether a run goes on, whose messages `emit` will bring.
        guesses: is told, in the server's thread, what somebody predicts on the page.

    Raises (on entering):
        EngineError: the port cannot be had.
    """

    def __init__(
        self, runs: Path, port: int = 0, *, live: bool = False, guesses: Guesses | None = None
    ) -> None:
        self._hub = Hub(Recording(growing=True)) if live else None
        self._app = App(runs, self._hub, guesses)
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    @property
    def address(self) -> str:
        """Where the pages are: `http://127.0.0.1:40123`."""
        return f"http://{HOST}:{self._port}"

    @property
    def pages(self) -> int:
        """How many pages follow the run now."""
        return self._hub.pages if self._hub else 0

    def emit(self, message: Message) -> None:
        """Take one message of the run; returns at once."""
        if self._hub is not None:
            self._hub.emit(message)

    def __enter__(self) -> Self:
        self._socket = _listen(self._port, live=self._hub is not None)
        self._port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            _bound(self._app, self._hub),
            log_level="critical",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=1,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="lab-pages", daemon=True)
        self._thread.start()
        until_s = time.monotonic() + _STARTS_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until_s:
                raise EngineError("the live page did not start", remedy="run with --no-page")
            time.sleep(_STEP_S)
        return self

    def _serve(self) -> None:
        assert self._server is not None  # noqa: S101 - made before the thread
        asyncio.run(self._server.serve(sockets=[self._socket] if self._socket else None))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        until_s = time.monotonic() + _LAST_FRAME_S
        while error is None and self.pages and time.monotonic() < until_s:
            time.sleep(_STEP_S)  # a page leaves when it has the last frame
        if self._hub is not None:
            self._hub.close()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_ENDS_S)
        if self._socket is not None:
            self._socket.close()


def _bound(app: App, hub: Hub | None) -> ASGIApp:
    """The application, with the hub told of the loop it will run in."""
    asgi = app.asgi()
    if hub is not None:

        @contextlib.asynccontextmanager
        async def lifespan(_: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
            hub.bind()
            yield

        asgi.router.lifespan_context = lifespan
    return asgi


def _listen(port: int, *, live: bool) -> socket.socket:
    """A socket on that port, of which only a live page can be done without."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(64)
    except (OSError, OverflowError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else "ports end at 65535"
        raise EngineError(
            f"no page: port {port} of {HOST}: {why}",
            remedy="choose another with --port" + (", or run with --no-page" if live else ""),
        ) from error
    return listening
