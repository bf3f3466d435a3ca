"""HTTP GET over a connection that is kept, with as little work as possible."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

_ACCEPT = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"  # the one format that we read quickly


class HttpError(Exception):
    """The answer is not a 200."""


class HttpSource:
    """One address and path."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._host, self._port = host, port
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: {_ACCEPT}\r\n"
            "User-Agent: chaos-lab-collector\r\n\r\n"
        ).encode()
        self._connection: _Connection | None = None

    async def read(self) -> bytes:
        """The body.

        Raises:
            OSError: no connection, or it broke.
            HttpError: another status than 200, or no HTTP.
        """
        kept = self._connection
        if kept is not None and kept.open:
            try:
                return await kept.ask(self._request)
            except ConnectionError:
                if kept.answering:
                    raise
                # It had closed the idle connection meanwhile, as it may.
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_connection(_Connection, self._host, self._port)
        return await self._connection.ask(self._request)

    def close(self) -> None:
        """Let go of the connection at once."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.open = False
        self.answering = False  # something of the answer has come
        self._framed = False  # the answer says where it ends
        self._headed = False
        self._body: list[bytes] = []

    async def ask(self, request: bytes) -> bytes:
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answering = self._framed = self._headed = False
        self._body.clear()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        return await self._answer

    def abort(self) -> None:
        self.open = False
        self._transport.abort()

    # asyncio
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast("asyncio.Transport", transport), True  # TCP

    def data_received(self, data: bytes) -> None:
        self.answering = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, AttributeError) as error:
            self.abort()
            self._fail(HttpError(f"no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if exc is None and self._headed and not self._framed:
            self.on_message_complete()  # its end is the end of the connection
        self._fail(ConnectionResetError("the connection closed before the answer was complete"))

    # httptools
    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002
        self._framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.abort()
        if status != 200:
            self._fail(HttpError(f"HTTP status {status}"))
        elif self._waited_for():
            self._answer.set_result(b"".join(self._body))

    def _fail(self, error: Exception) -> None:
        if self._waited_for():
            self._answer.set_exception(error)

    def _waited_for(self) -> bool:
        answer: asyncio.Future[bytes] | None = getattr(self, "_answer", None)
        return answer is not None and not answer.done()
