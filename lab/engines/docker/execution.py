"""Commands inside containers (`docker exec`), with their standard streams attached."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from docker.utils.socket import frames_iter

from lab.engines import Ended, Handling
from lab.engines.docker.daemon import Daemon
from lab.engines.signals import handling
from lab.errors import EngineError
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles

_OUTPUT_BYTES_MAX = 2**20
_LOOK_S = 0.01
_LOOK_AT_S = 5.0


class DockerSession:
    """`lab.engines.Session`: one command, from its start."""

    def __init__(self, daemon: Daemon, name: str, number: str, stream: Any) -> None:
        self._daemon = daemon
        self._name = name
        self._number = number
        self._stream = stream  # owns the connection
        self._sock = getattr(stream, "_sock", stream)  # the same where Docker is reached by ssh
        if hasattr(self._sock, "settimeout"):
            self._sock.settimeout(None)
        self._output = bytearray()
        self.is_open = True
        self._over = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # Of its own, and not of the pool: it waits for as long as the command runs.
        threading.Thread(target=self._read, name=f"exec in {name}", daemon=True).start()

    async def write(self, text: str) -> None:
        """Put text into its standard input; a few lines, which fit the socket's buffer."""
        if self._over.is_set():
            raise EngineError(f"the command in {self._name} has ended: {self._said()}")
        try:
            self._sock.sendall(text.encode())
        except OSError as error:
            raise EngineError(f"the command in {self._name} has ended: {error}") from error

    async def ended(self, timeout_s: float) -> Ended:
        """Wait for its end; what it leaves running holds its outputs, and is waited for too."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        inspect = self._daemon.api.exec_inspect
        try:
            async with asyncio.timeout(timeout_s):
                await self._over.wait()
                # The streams end a moment before the daemon has the exit code.
                while (found := await self._daemon.call(inspect, self._number))["Running"]:  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            said = self._said()
            raise EngineError(
                f"a command in {self._name} did not end within {timeout_s:g} s; it said: {said}"
            ) from None
        finally:
            await self.close()
        return Ended(int(found["ExitCode"] or 0), self._output.decode(errors="replace"))

    async def close(self) -> None:
        """Close the connection; the daemon then closes the command's standard input."""
        self.is_open = False
        for close in (
            lambda: self._sock.shutdown(socket.SHUT_RDWR),
            self._sock.close,
            self._stream.close,
        ):
            with contextlib.suppress(OSError):
                close()

    def _said(self) -> str:
        return self._output.decode(errors="replace").strip()[-500:] or "nothing"

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for _, data in frames_iter(self._sock, tty=False):  # type: ignore[no-untyped-call]
                self._output += data
                del self._output[:-_OUTPUT_BYTES_MAX]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._over.set)


class Execution:
    """`lab.engines.Executable` and `Signalable`; a part of the cluster."""

    _daemon: Daemon
    _handles: Handles

    async def execute(
        self, instance: Instance, command: Sequence[str], user: str | None = None
    ) -> DockerSession:
        """Start a command in a container; that alone costs about 90 ms."""
        api, container = self._daemon.api, self._handles.containers[instance.name]
        try:
            created = await self._daemon.call(
                api.exec_create, container, list(command), stdin=True, user=user or ""
            )
            stream = await self._daemon.call(api.exec_start, created["Id"], socket=True)
        except EngineError as error:
            raise EngineError(
                f"`{' '.join(command)}` did not start in {instance.name}: {error.message}"
            ) from error
        session = DockerSession(self._daemon, instance.name, created["Id"], stream)
        self._handles.sessions.append((instance.name, session))
        return session

    async def signal(self, instance: Instance, word: str) -> None:
        """To the container's first process."""
        api, container = self._daemon.api, self._handles.containers[instance.name]
        await self._daemon.call(api.kill, container, f"SIG{word}")

    async def handling(self, instance: Instance, word: str) -> Handling:
        """Asked inside the container: the daemon may be on another machine."""
        session = await self.execute(instance, ["cat", "/proc/1/status"])
        ended = await session.ended(_LOOK_AT_S)
        return "unknown" if ended.code else handling(ended.output, word)

    def _commands_left(self) -> list[str]:
        """Commands that nobody has ended."""
        sessions = self._handles.sessions
        sessions[:] = [one for one in sessions if one[1].is_open]
        return [f"{name}: a command of the lab still runs in it" for name, _ in sessions]

    async def _end_commands(self) -> None:
        for _, session in self._handles.sessions:
            await session.close()
