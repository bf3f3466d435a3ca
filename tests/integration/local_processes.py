"""Runs programs of recipes without the engine: plain processes, addresses and waiting.

Addresses are real 127.x ones, or, in "ports" mode, only names for free ports of 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from lab.engines.local.layout import raised
from lab.engines.local.program import Place, Program, Result
from lab.engines.local.recipes import recipe_for
from lab.plan import Instance
from lab.topology import Service

Mode = Literal["addresses", "ports"]
READY_S = 20.0


@dataclass
class Host:
    """A place for the instances of one test: addresses, moved ports, a folder."""

    folder: Path
    mode: Mode
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    moved: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)

    def give(self, name: str, *ports: int) -> str:
        """An address for an instance that listens on these ports."""
        # The process's number: tests of two sessions at once do not meet.
        pid = os.getpid()
        address = f"127.{64 + pid % 60}.{pid // 60 % 250}.{2 + len(self.names)}"
        self.names[name] = (address,)
        if self.mode == "addresses":
            self.moved |= raised([(address, port) for port in ports])
            return address
        for port in ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.moved[address, port] = ("127.0.0.1", probe.getsockname()[1])
        return address

    def real(self, address: str, port: int) -> tuple[str, int]:
        return self.moved.get((address, port), (address, port))

    def where(self, name: str, port: int) -> tuple[str, int]:
        """Where a test finds a port of an instance."""
        return self.real(self.names[name][0], port)

    def place(self, name: str) -> Place:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        names = {other: there for other, there in self.names.items() if other != name}
        return Place(home, self.names[name][0], names, self.real, self.moved)


class Process:
    """One started program."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    async def start(self) -> None:
        for stale in self.program.before:
            stale.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **how(self.program),
            )

    async def ready(self) -> float:
        """Seconds until the healthcheck passed."""
        assert self.program.check
        assert self._process
        began_s = time.perf_counter()
        while True:
            result = await run(Program(**{**fields(self.program), "argv": self.program.check}), 5)
            if result.code == 0:
                return time.perf_counter() - began_s
            hopeful = self._process.returncode is None and time.perf_counter() - began_s < READY_S
            assert hopeful, f"{result.output}\n{self.log.read_text()}"
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """SIGKILL to the whole tree, until nothing of it is left."""
        if self._process is None:
            return
        tree: list[psutil.Process] = []
        try:
            parent = psutil.Process(self._process.pid)
            tree = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            pass
        for process in tree:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        await self._process.wait()
        while any(alive(process) for process in tree):  # noqa: ASYNC110  (no event tells)
            await asyncio.sleep(0.005)
        self._process = None


def alive(process: psutil.Process) -> bool:
    """Whether it still holds anything; an orphan may wait long for someone to ask how it ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def fields(program: Program) -> dict[str, object]:
    return {name: getattr(program, name) for name in Program.__dataclass_fields__}


def how(program: Program) -> dict[str, object]:
    """Arguments of a subprocess."""
    settings: dict[str, object] = {"cwd": program.cwd, "env": dict(program.env)}
    settings["start_new_session"] = True
    if program.uid is not None:
        settings |= {"user": program.uid, "group": program.gid, "extra_groups": []}
    return settings


async def run(program: Program, timeout_s: float) -> Result:
    """The engine's `Run`."""
    process = await asyncio.create_subprocess_exec(
        *program.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        **how(program),
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = await process.communicate()
        return Result(124, output.decode(errors="replace"))
    return Result(process.returncode or 0, output.decode(errors="replace"))


@asynccontextmanager
async def started(host: Host, name: str, service: Service) -> AsyncIterator[Process]:
    """An instance of a service, running and not yet ready; killed at the end."""
    program = await recipe_for(service).install(Instance("", service, 1), host.place(name), run)
    process = Process(program, host.folder / f"{name}.log")
    try:
        await process.start()
        yield process
    finally:
        await process.kill()


@contextlib.contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that every user may enter, as a run's is; pytest's are for their owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="lab-recipes-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def listening(pid: int) -> set[tuple[str, int]]:
    """Where a process and its children listen."""
    parent = psutil.Process(pid)
    found = set()
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend that has just ended
            found |= {
                (one.laddr.ip, one.laddr.port)
                for one in process.net_connections("inet")
                if one.status == psutil.CONN_LISTEN
            }
    return found


async def http(where: tuple[str, int], path: str, method: str = "GET") -> tuple[int, str]:
    """One request, without following redirects."""
    reader, writer = await asyncio.open_connection(*where)
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        answer = (await asyncio.wait_for(reader.read(), 5)).decode()
    finally:
        writer.close()
        await writer.wait_closed()
    return int(answer.split(" ", 2)[1]), answer


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


async def killed_and_back(process: Process) -> None:
    await process.kill()
    await process.start()
    await process.ready()
