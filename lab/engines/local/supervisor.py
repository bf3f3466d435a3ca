"""The parent of every process of a run; removes all of them, and the run's folder, at the end.

    python -m lab.engines.local.supervisor RUN_ID FOLDER

Orders come as JSON lines on stdin, `{"id": 1, "do": "start", …}`, and are answered on stdout with
`{"id": 1, "is": …}` or `{"id": 1, "error": "…"}`; `{"event": "ended", …}` is said unasked. The end
of stdin means that the orchestrator has ended, however: then it cleans up by itself.

It is one thread, which makes code between fork and exec safe, and every child is reaped in one
place (`Trees.reap`); nothing else here may start a process in another way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lab.engines.local import owner
from lab.engines.local.few_files import FewFiles
from lab.engines.local.household import Household, RefusedError

_LINE_BYTES_MAX = 64 * 2**20
_FLUSH_S = 1.0

Order = Mapping[str, Any]
Answer = Callable[[Mapping[str, Any]], None]


class Supervisor:
    """Takes orders from the orchestrator and, once the run is kept, from a socket in its folder."""

    def __init__(self, run_id: str, folder: Path, orchestrator: int) -> None:
        self._stdin, self._stdout = _own_streams()
        self._folder = folder
        self._owner = owner.here(run_id, orchestrator)
        self._house = Household(folder, owner.mark(self._owner), self._tell)
        self._few_files = FewFiles(self._house)
        self._listeners: list[Answer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
        self._over = asyncio.Event()

    async def serve(self) -> None:
        """Until everything is removed: because it was ordered, or because stdin has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Not ignored, which the processes to come would inherit: answered with nothing.
            loop.add_signal_handler(number, lambda: None)
        loop.add_signal_handler(signal.SIGCHLD, self._house.reap)
        listening = asyncio.create_task(self._hear_stdin())
        await self._over.wait()
        if self._server:
            self._server.close()
        for writer in self._talks:
            writer.close()
        await asyncio.gather(*filter(None, self._talks.values()), return_exceptions=True)
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening

    async def _hear_stdin(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_LINE_BYTES_MAX)
        source, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._stdin
        )
        sink, out = await loop.connect_write_pipe(_Out, self._stdout)
        try:
            await self._hear(reader, lambda said: sink.write(_line(said)))
            if not self._server and not self._over.is_set():
                _log("the orchestrator has ended without taking the run down; doing that")
                await self._end()
        finally:
            source.close()
            sink.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(out.closed.wait(), _FLUSH_S)

    async def _hear_socket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._talks[writer] = asyncio.current_task()
        try:
            await self._hear(reader, lambda said: writer.write(_line(said)))
        finally:
            writer.close()
            self._talks.pop(writer)

    async def _hear(self, reader: asyncio.StreamReader, answer: Answer) -> None:
        """Obey orders side by side, until there are no more."""
        self._listeners.append(answer)
        own: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._obey(line, answer))
                for tasks in (own, self._tasks):
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            stops = [task for task in own if self._over.is_set() and not task.done()]
            await asyncio.gather(*stops)
        finally:
            self._listeners.remove(answer)

    async def _obey(self, line: bytes, answer: Answer) -> None:
        order: dict[str, Any] = {}
        try:
            order = json.loads(line)
            found = await self._orders()[order["do"]](order)
        except RefusedError as error:
            answer({"id": order.get("id"), "error": str(error)})
        except (OSError, TimeoutError) as error:
            answer({"id": order.get("id"), "error": str(error) or repr(error)})
        except Exception as error:  # noqa: BLE001 - a wrong order must not end what it guards
            traceback.print_exc()
            answer({"id": order.get("id"), "error": f"{error!r} in {line[:200]!r}"})
        else:
            answer({"id": order["id"], "is": found})
            if order["do"] == "stop":
                self._over.set()

    def _orders(self) -> Mapping[str, Callable[[Order], Awaitable[Any]]]:
        house = self._house
        return {
            "begin": self._begin,
            "start": house.start,
            "run": house.run,
            "open": house.open,
            "write": house.write,
            "wait": house.wait,
            "kill": house.kill,
            "end": house.end,
            "signal": house.signal,
            "status": house.status,
            "life": house.life,
            "pause": house.pause,
            "resume": house.resume,
            "state": house.state,
            "usage": house.usage,
            "file_limits": self._few_files.file_limits,
            "limit_files": self._few_files.limit_files,
            "unlimit_files": self._few_files.unlimit_files,
            "sockets": house.sockets,
            "keep": self._keep,
            "stop": self._stop,
        }

    async def _begin(self, _order: Order) -> dict[str, Any]:
        """Make the run's folder, ours from the first moment on."""
        owner.claim(self._folder, self._owner)
        return {"pid": os.getpid(), "folder": str(self._folder), "adopts": self._house.adopts}

    async def _keep(self, _order: Order) -> dict[str, Any]:
        """Stay when stdin ends, and let the process go that the orchestrator waits for."""
        path = self._folder / owner.SOCKET
        if not self._server:
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(
                    self._hear_socket, str(path), limit=_LINE_BYTES_MAX
                )
            finally:
                os.umask(before)
            owner.keep(self._folder)
            os.kill(os.getppid(), signal.SIGTERM)
        return {"socket": str(path)}

    async def _stop(self, _order: Order) -> list[str]:
        return await self._house.clear()

    async def _end(self) -> None:
        for left in await self._house.clear():
            _log(f"left: {left}; try `lab clean --run {self._owner.run_id}`")
        self._over.set()

    def _tell(self, event: Mapping[str, Any]) -> None:
        for listener in self._listeners:
            listener(event)


class _Out(asyncio.BaseProtocol):
    """Tells when all that was written has left."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """All is written, or nobody reads any more."""
        self.closed.set()


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout as files that can be closed, which a kept run does; prints go to the log."""
    found = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - for its number
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return found


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stand_in(supervisor: int) -> int:
    """Wait for the supervisor in the place of the orchestrator's child.

    The supervisor has to outlive the orchestrator, whose asyncio kills children it still has when
    it ends; and a child of its own is reaped even where the system's first process reaps nobody.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for stream in (0, 1):
        os.close(stream)
    _, status = os.waitpid(supervisor, 0)
    return abs(os.waitstatus_to_exitcode(status))


def main() -> int:
    """Supervise one run."""
    run_id, folder = sys.argv[1:3]
    orchestrator = os.getppid()
    if supervisor := os.fork():
        os._exit(_stand_in(supervisor))

    async def supervise() -> None:
        await Supervisor(run_id, Path(folder), orchestrator).serve()

    asyncio.run(supervise())
    return 0


if __name__ == "__main__":
    sys.exit(main())
