"""JSON lines to and from a child process of the lab, over its standard streams.

The child's stdin closes when this process ends, however it ends, and the child then ends too: no
load, no proxy and no service without an owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import lab
from lab.errors import EngineError

_LINE_BYTES_MAX = 64 * 2**20
_ENDS_S = 5.0


class Pipe:
    """One child. Answers (messages with an `id`) go to `ask`, everything else to `messages`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._messages: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, name: str, module: str, log: Path | None, *args: str) -> Pipe:
        """Start `python -m module args`; what it writes to stderr is appended to `log`.

        It gets a session of its own, so that the terminal's Ctrl-C is ours alone.

        Raises:
            EngineError: it cannot be started, or its log cannot be written.
        """
        try:
            with contextlib.ExitStack() as stack:
                stderr = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", module, *args),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                    limit=_LINE_BYTES_MAX,
                    cwd=Path(lab.__file__).parent.parent,
                )
        except OSError as error:
            raise EngineError(f"{name} did not start: {error}") from error
        return cls(name, process)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write one message.

        Raises:
            EngineError: the process has ended.
        """
        stdin = self._process.stdin
        assert stdin  # noqa: S101 - opened with PIPE
        try:
            stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            await stdin.drain()
        except (OSError, RuntimeError) as error:
            raise self._ended() from error

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Give an order and return the `is` of its answer.

        Raises:
            EngineError: the answer is an `error`, or the process has ended.
        """
        if self._reading.done():
            raise self._ended()
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await self.send({"id": number, "do": do, **arguments})
            found = await answer
        finally:
            self._answers.pop(number, None)
        if "error" in found:
            raise EngineError(f"{self.name}: {do}: {found['error']}")
        return found.get("is")

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Messages that are no answers, as they come, until it ends; for one reader only."""
        while (message := await self._messages.get()) is not None:
            yield message

    async def close(self) -> None:
        """Let it end; one that does not is killed."""
        stdin = self._process.stdin
        assert stdin  # noqa: S101 - opened with PIPE
        with contextlib.suppress(OSError, RuntimeError):
            stdin.close()
        try:
            async with asyncio.timeout(_ENDS_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout  # noqa: S101 - opened with PIPE
        while line := await stdout.readline():
            try:
                message = json.loads(line)
            except ValueError:
                continue  # a stray print
            waiting = self._answers.get(message.get("id", 0))
            if waiting is None:
                self._messages.put_nowait(message)
            elif not waiting.done():
                waiting.set_result(message)
        self._messages.put_nowait(None)
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(self._ended())

    def _ended(self) -> EngineError:
        return EngineError(f"{self.name} has ended", remedy="look into its log in the run's folder")
