"""JSON lines to and from a container, over the standard streams that Docker attaches.

The container's stdin closes when this process ends, however it ends, so whatever listens there
ends with it: no load and no packet rule without an owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from lab.engines.docker.daemon import Daemon
from lab.errors import EngineError

_HEADER = 8  # stream number, three zeros, length (docs of `POST /containers/{id}/attach`)
_STDOUT = 1
_CHUNK = 1 << 16


class Channel:
    """One container's streams. Messages come from stdout; stderr is kept in a log file."""

    def __init__(self, name: str, stream: Any, log: Path | None) -> None:
        self.name = name
        self._stream = stream  # owns the connection
        self._sock = getattr(stream, "_sock", stream)  # the same where Docker is reached by ssh
        if hasattr(self._sock, "settimeout"):
            self._sock.settimeout(None)
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._writing = asyncio.Lock()
        self._reader = threading.Thread(target=self._read, name=f"channel {name}", daemon=True)
        self._reader.start()

    @classmethod
    async def attach(cls, daemon: Daemon, container: str, name: str, log: Path | None) -> Channel:
        """Attach to a container that is created and not yet started, so that nothing is missed."""
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attaching = asyncio.create_task(
            daemon.call(daemon.api.attach_socket, container, params=streams)
        )
        try:
            stream = await asyncio.shield(attaching)
        except asyncio.CancelledError:
            attaching.add_done_callback(_close_unused)  # it cannot be stopped half way
            raise
        return cls(name, stream, log)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write one message.

        Raises:
            EngineError: the container has gone.
        """
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        async with self._writing:
            try:
                if len(data) <= _CHUNK // 2:
                    self._sock.sendall(data)  # fits the socket's buffer: no need for a thread
                else:
                    await asyncio.to_thread(self._sock.sendall, data)
            except OSError as error:
                raise EngineError(f"{self.name} has ended: {error}") from error

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Messages as they come, until the container ends; for one reader only."""
        while (message := await self._messages.get()) is not None:
            yield message

    def close(self) -> None:
        """Let go of the container, which then ends."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(timeout=1.0)
        _close(self._stream)

    def _read(self) -> None:
        """Take the streams apart; in a thread of its own, because the socket may be TLS or ssh."""
        rest = b""
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(self._log.open("ab")) if self._log else None
            while frame := self._frame():
                stream, data = frame
                if stream == _STDOUT:
                    *lines, rest = (rest + data).split(b"\n")
                    data = b"".join(line + b"\n" for line in lines if not self._understood(line))
                if log and data:
                    log.write(data)
                    log.flush()
        self._hand_over(None)

    def _understood(self, line: bytes) -> bool:
        """Hand a message over; what is none (a stray print) belongs into the log."""
        try:
            message = json.loads(line)
        except ValueError:
            return False
        self._hand_over(message)
        return True

    def _hand_over(self, message: dict[str, Any] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    def _frame(self) -> tuple[int, bytes] | None:
        header = self._exactly(_HEADER)
        if header is None:
            return None
        stream, length = struct.unpack(">BxxxL", header)
        data = self._exactly(length)
        return None if data is None else (stream, data)

    def _exactly(self, size: int) -> bytes | None:
        parts = []
        while size:
            try:
                part = self._sock.recv(min(size, _CHUNK))
            except (OSError, ValueError):
                return None
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _close_unused(attaching: asyncio.Task[Any]) -> None:
    if not attaching.cancelled() and attaching.exception() is None:
        _close(attaching.result())


def _close(stream: Any) -> None:
    """Both the file object and the socket below it: each keeps the connection open."""
    for one in (getattr(stream, "_sock", stream), stream):
        with contextlib.suppress(OSError):
            one.close()
