"""The orchestrator's end of the supervisor."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.engines import FileLimits, State, Usage
from lab.engines.local.pipe import Pipe
from lab.engines.local.program import Program, Result
from lab.errors import EngineError

_MODULE = "lab.engines.local.supervisor"


@dataclass(frozen=True, slots=True)
class Ended:
    """An instance whose first process has ended; what else belonged to it is being killed.

    `code` is negative for a signal. `cpu_s` is what this life used. `asked`: by `kill` or `stop`.
    """

    name: str
    pid: int
    code: int
    cpu_s: float
    asked: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection of an instance to an address."""

    name: str
    pid: int
    host: str
    port: int


class Supervisor:
    """Starts, kills and counts the processes of one run. Every method may raise EngineError.

    `folder` is the run's own folder, made by the supervisor and removed with everything else.
    """

    def __init__(self, pipe: Pipe, pid: int, folder: Path) -> None:
        self.pid = pid
        self.folder = folder
        self._pipe = pipe
        self._is_over = False

    @classmethod
    async def start(cls, run_id: str, folder: Path, log: Path | None) -> Supervisor:
        """Start one; it removes everything that it starts when this process ends, however."""
        pipe = await Pipe.start("supervisor", _MODULE, log, run_id, str(folder))
        try:
            begun = await pipe.ask("begin")
        except BaseException:
            await pipe.close()
            raise
        return cls(pipe, begun["pid"], Path(begun["folder"]))

    async def launch(self, name: str, program: Program, log: Path) -> int:
        """Start an instance, or start it anew; its process id."""
        before = [str(path) for path in program.before]
        order = {"name": name, "log": str(log), "before": before, **_order(program)}
        return int((await self._pipe.ask("start", **order))["pid"])

    async def run(self, program: Program, timeout_s: float, name: str = "command") -> Result:
        """Run a short command; what it used counts as used by the instance of this name."""
        order = {"name": name, "timeout_s": timeout_s, **_order(program)}
        return Result(**await self._pipe.ask("run", **order))

    async def open(self, program: Program, name: str) -> str:
        """Start a command whose standard input stays open; its key for `write` and `wait`."""
        return str((await self._pipe.ask("open", name=name, **_order(program)))["key"])

    async def write(self, key: str, text: str) -> None:
        """Put text into the standard input of an open command."""
        await self._pipe.ask("write", key=key, text=text)

    async def wait(self, key: str, timeout_s: float) -> Result:
        """End the standard input of an open command, and kill it if it has not ended in time."""
        return Result(**await self._pipe.ask("wait", key=key, timeout_s=timeout_s))

    async def kill(self, name: str) -> float:
        """Kill an instance whole and wait until it is gone; CPU-seconds of its life."""
        return float((await self._pipe.ask("kill", name=name))["cpu_s"])

    async def signal(self, name: str, word: str) -> None:
        """Signal the first process of an instance."""
        await self._pipe.ask("signal", name=name, signal=word)

    async def status(self, name: str) -> str:
        """What the kernel writes of its first process; "" where it does not."""
        return str(await self._pipe.ask("status", name=name))

    async def life(self, name: str) -> dict[str, Any]:
        """Its first process: `pid`, `started_s`, `environment` (empty once it has ended)."""
        return dict(await self._pipe.ask("life", name=name))

    async def end(self, name: str, stop_signal: str, grace_s: float) -> None:
        """Ask an instance to end, kill it after that time; it is gone afterwards."""
        await self._pipe.ask("end", name=name, signal=stop_signal, grace_s=grace_s)

    async def pause(self, name: str) -> None:
        """Stop every process of an instance."""
        await self._pipe.ask("pause", name=name)

    async def resume(self, name: str) -> None:
        """Let every process of an instance go on."""
        await self._pipe.ask("resume", name=name)

    async def state(self, name: str) -> State:
        """What an instance is doing, asked of the kernel."""
        found = await self._pipe.ask("state", name=name)
        return State(found["status"], found["code"], started_s=found["started_s"])

    async def file_limits(self, name: str) -> list[FileLimits]:
        """How many files each process of an instance may have open, and has."""
        return [FileLimits(*one) for one in await self._pipe.ask("file_limits", name=name)]

    async def limit_files(self, name: str, files: int) -> None:
        """Let no process of an instance have more open, until that is taken back."""
        await self._pipe.ask("limit_files", name=name, files=files)

    async def unlimit_files(self, name: str) -> None:
        """Give each process of an instance what it had."""
        await self._pipe.ask("unlimit_files", name=name)

    async def usage(self) -> dict[str, Usage]:
        """What every instance used, over restarts and with its commands."""
        found = await self._pipe.ask("usage")
        return {name: Usage(**used) for name, used in found.items()}

    async def sockets(
        self, ends: Iterable[tuple[str, int]], also: Mapping[str, int] | None = None
    ) -> list[Connection]:
        """Which instances, or other processes by name, have connections to these addresses."""
        order = {"ends": list(ends), "also": dict(also or {})}
        return [Connection(*found) for found in await self._pipe.ask("sockets", **order)]

    async def keep(self) -> Path:
        """Leave everything up when this process ends; the socket that takes orders from then on."""
        socket = Path((await self._pipe.ask("keep"))["socket"])
        self._is_over = True
        return socket

    async def stop(self) -> list[str]:
        """Kill everything and remove the run's folder; what is left, in words."""
        left = await self._pipe.ask("stop")
        self._is_over = True
        return list(left)

    async def events(self) -> AsyncIterator[Ended]:
        """Instances that end, until the supervisor does."""
        async for message in self._pipe.messages():
            if message.pop("event", None) == "ended":
                yield Ended(**message)

    async def close(self) -> None:
        """End it, with everything unless that was stopped or is kept."""
        if not self._is_over:
            with contextlib.suppress(EngineError):  # it was killed, perhaps
                await self.stop()
        await self._pipe.close()


def _order(program: Program) -> dict[str, object]:
    return {
        "argv": list(program.argv),
        "env": dict(program.env),
        "cwd": str(program.cwd),
        "uid": program.uid,
        "gid": program.gid,
        "nofile": program.nofile,
    }
