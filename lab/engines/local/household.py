"""What a supervisor does: instances and commands by name, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.engines.local.owner import remove
from lab.engines.local.processes import processes
from lab.engines.local.sockets import connections
from lab.engines.local.spawn import adopt_orphans, spawn
from lab.engines.local.tree import TREE, Tree, Trees

_STOPS_S = 2.0
_OUTPUT_BYTES_MAX = 2**20

Order = Mapping[str, Any]


class RefusedError(Exception):
    """An order that cannot be followed, in words."""


@dataclass(slots=True)
class Account:
    """What an instance and its commands used in lives that are over; never goes down."""

    past_s: float = 0.0
    told_s: float = 0.0
    peak_bytes: int = 0


@dataclass(slots=True)
class _Command:
    """A command that runs; `input` is our end of its standard input, if it has one."""

    name: str
    tree: Tree
    output: _Output
    input: int | None = None


class Household:
    """The processes of a run.

    `mark` is put into every environment. `tell` is given events.
    """

    def __init__(
        self, folder: Path, mark: Mapping[str, str], tell: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._folder = folder
        self._mark = dict(mark)
        self._tell = tell
        self.adopts = adopt_orphans()
        self._trees = Trees(mark, adopts=self.adopts)
        self._instances: dict[str, Tree] = {}
        self._given: dict[str, dict[str, str]] = {}
        self._accounts: dict[str, Account] = {}
        self._commands: dict[str, Tree] = {}
        self._open: dict[str, _Command] = {}
        self._clearing: dict[Tree, asyncio.Task[None]] = {}
        self._numbers = iter(range(1, 2**62))
        self._over = False

    def reap(self) -> None:
        """Children have ended: tell of the instances among them, and let nothing of them go on."""
        for tree in self._trees.reap():
            if self._instances.get(tree.key) is tree:
                self._tell(
                    {
                        "event": "ended",
                        "name": tree.key,
                        "pid": tree.root.pid,
                        "code": tree.code,
                        "cpu_s": self._trees.cost(tree)[0],
                        "asked": tree.asked,
                    }
                )
                self._clearing[tree] = asyncio.create_task(self._clear(tree, tree.key))

    async def start(self, order: Order) -> dict[str, Any]:
        """Start an instance; one that ended before is started anew, once all of it is gone."""
        name = order["name"]
        while (last := self._instances.get(name)) and last in self._clearing:
            await self._clearing[last]
        if last and last.code is None:
            raise RefusedError(f"{name} already runs as process {last.root.pid}")
        for path in order.get("before", ()):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - at once: nothing is worth waiting for another thread
        with open(order["log"], "ab") as log:  # noqa: ASYNC230, PTH123 - a local file
            tree = self._launch(order, name, log.fileno())
        self._instances[name] = tree
        self._given[name] = dict(order["env"])
        self._accounts.setdefault(name, Account())
        return {"pid": tree.root.pid}

    async def run(self, order: Order) -> dict[str, Any]:
        """Run a command to its end or the end of its time; nothing that it started stays."""
        timeout_s = order["timeout_s"]
        in_time, result = await self._finish(self._begin(order), timeout_s)
        if not in_time:
            result["output"] += f"\nkilled: it took longer than {timeout_s:g} s"
        return result

    async def open(self, order: Order) -> dict[str, Any]:
        """Start a command that reads what is written to it, until it is waited for."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        try:
            command = self._begin(order, reading)
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        command.input = writing
        self._open[command.tree.key] = command
        return {"key": command.tree.key}

    async def write(self, order: Order) -> None:
        """Put a few lines into the standard input of a command that was opened."""
        command = self._open.get(order["key"])
        if command is None or command.input is None or command.tree.code is not None:
            raise RefusedError("the command has ended")
        os.write(command.input, order["text"].encode())

    async def wait(self, order: Order) -> dict[str, Any]:
        """End the standard input of a command that was opened, and wait until it has ended."""
        command, timeout_s = self._open.pop(order["key"]), order["timeout_s"]
        in_time, result = await self._finish(command, timeout_s)
        if not in_time:
            said = result["output"].strip()[-500:] or "nothing"
            raise RefusedError(
                f"a command in {command.name} did not end within {timeout_s:g} s; it said: {said}"
            )
        return result

    def _begin(self, order: Order, input_: int = subprocess.DEVNULL) -> _Command:
        name = order.get("name") or "command"
        key = f"{name}#{next(self._numbers)}"
        reading, writing = os.pipe()
        try:
            tree = self._launch(order, key, writing, input_)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._commands[key] = tree
        return _Command(name, tree, _Output(reading))

    async def _finish(self, command: _Command, timeout_s: float) -> tuple[bool, dict[str, Any]]:
        """Whether it ended in time, and how."""
        tree, in_time = command.tree, True
        if command.input is not None:
            os.close(command.input)
        try:
            async with asyncio.timeout(timeout_s):
                await tree.ended.wait()
        except TimeoutError:
            in_time = False
        finally:
            await self._clear(tree, command.name)
            del self._commands[tree.key]
            text = command.output.close()
        return in_time, {"code": -9 if tree.code is None else tree.code, "output": text}

    async def kill(self, order: Order) -> dict[str, Any]:
        """Kill an instance whole; it is gone afterwards."""
        tree = self._instance(order)
        tree.asked = True
        if not await self._trees.kill(tree):
            raise RefusedError(f"{tree.key}: still there: {sorted(tree.members)}")
        await tree.ended.wait()
        if tree in self._clearing:
            await self._clearing[tree]
        return {"cpu_s": tree.reaped_s}

    async def end(self, order: Order) -> dict[str, Any]:
        """Ask an instance to end, with a signal, and kill what is left of it after a grace."""
        tree = self._instance(order)
        if tree.code is None:
            tree.asked = True
            self._trees.signal(tree, _number(order["signal"]))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(order["grace_s"]):
                    await tree.ended.wait()
        return await self.kill(order)

    async def signal(self, order: Order) -> None:
        """Signal the first process of an instance."""
        self._trees.signal(self._running(order), _number(order["signal"]))

    async def status(self, order: Order) -> str:
        """`/proc/PID/status` of its first process, on Linux."""
        file = Path(f"/proc/{self._running(order).root.pid}/status")
        with contextlib.suppress(OSError):
            return file.read_text()  # noqa: ASYNC240 - the kernel's, which waits for nothing
        return ""

    async def life(self, order: Order) -> dict[str, Any]:
        """The first process of an instance, and its environment as the kernel has it.

        Of one that has ended: as it was started with, because the kernel has forgotten.
        """
        tree = self._instance(order)
        pid = tree.root.pid
        given = self._given[order["name"]]
        environment = processes().environment(pid) if tree.code is None else given
        return {"pid": pid, "started_s": tree.started_s, "environment": environment}

    async def pause(self, order: Order) -> None:
        """Stop every process of an instance."""
        tree = self._running(order)
        await self._trees.freeze(tree, _STOPS_S)

    async def resume(self, order: Order) -> None:
        """Let every process of an instance go on."""
        tree = self._running(order)
        await self._trees.thaw(tree, _STOPS_S)

    async def state(self, order: Order) -> dict[str, Any]:
        """What an instance is doing."""
        tree = self._instances.get(order["name"])
        if tree is None:
            return {"status": "missing", "code": None, "started_s": None}
        status = self._trees.status(tree)
        return {"status": status, "code": tree.code, "started_s": tree.started_s}

    def members(self, name: str) -> list[int]:
        """The processes of an instance that live."""
        return [
            seen.process.pid
            for tree in self._lives(name)
            for seen in self._trees.walk(tree)
            if seen.status != "zombie"
        ]

    async def usage(self, _order: Order) -> dict[str, Any]:
        """CPU over all lives, and memory now, of every instance."""
        found = {}
        for name, account in self._accounts.items():
            cpu_s, memory_bytes = account.past_s, 0
            for tree in self._lives(name):
                used_s, used_bytes = self._trees.cost(tree)
                cpu_s += used_s
                memory_bytes += used_bytes
            account.told_s = max(account.told_s, cpu_s)  # kernel ticks may round a sum down
            account.peak_bytes = max(account.peak_bytes, memory_bytes)
            found[name] = {
                "cpu_s": account.told_s,
                "memory_bytes": memory_bytes,
                "memory_peak_bytes": account.peak_bytes,
            }
        return found

    async def sockets(self, order: Order) -> list[tuple[str, int, str, int]]:
        """Connections to the given ends by instances, and by other processes that are named."""
        owners = {pid: name for name, pid in order.get("also", {}).items()}
        for tree in self._instances.values():
            owners |= {seen.process.pid: tree.key for seen in self._trees.walk(tree)}
        return connections([(host, port) for host, port in order["ends"]], owners)

    async def clear(self) -> list[str]:
        """Kill everything and remove the run's folder; what is left, in words."""
        self._over = True
        trees = [*self._instances.values(), *self._commands.values()]
        for tree in trees:
            tree.asked = True
        await asyncio.gather(*(self._trees.kill(tree) for tree in trees))
        left = [f"process {pid}" for pid in await self._trees.kill_strays()]
        remove(self._folder)
        return left + ([f"folder {self._folder}"] if self._folder.exists() else [])

    def _launch(
        self, order: Order, key: str, output: int, input_: int = subprocess.DEVNULL
    ) -> Tree:
        if self._over:
            raise RefusedError("the run is being taken down")
        home = order["cwd"]
        if not Path(home).is_dir():
            raise RefusedError(f"{key}: there is no folder {home}")
        try:
            pid = spawn(
                order["argv"],
                {**order["env"], **self._mark, TREE: key},
                home,
                output,
                input_=input_,
                uid=order.get("uid"),
                gid=order.get("gid"),
                nofile=order.get("nofile"),
            )
        except (OSError, ValueError) as error:
            raise RefusedError(f"{key} did not start: {order['argv'][0]}: {error}") from error
        return self._trees.plant(key, pid, home)

    async def _clear(self, tree: Tree, name: str) -> None:
        """Of a tree whose first process has ended nothing stays, as in a container."""
        await self._trees.kill(tree)
        self._trees.fell(tree)
        self._accounts.setdefault(name, Account()).past_s += tree.reaped_s
        self._clearing.pop(tree, None)

    def _lives(self, name: str) -> Iterator[Tree]:
        tree = self._instances.get(name)
        if tree and (tree.code is None or tree in self._clearing):
            yield tree

    def _instance(self, order: Order) -> Tree:
        tree = self._instances.get(order["name"])
        if tree is None:
            raise RefusedError(f"{order['name']} was never started")
        return tree

    def _running(self, order: Order) -> Tree:
        tree = self._instance(order)
        if tree.code is not None:
            raise RefusedError(f"{tree.key} does not run: it ended with code {tree.code}")
        return tree


def _number(word: str) -> int:
    """The signal of `SIGINT`, `INT` or `2`, as Compose takes them."""
    try:
        return int(word) if word.isdigit() else signal.Signals[f"SIG{word.removeprefix('SIG')}"]
    except KeyError:
        raise RefusedError(f"there is no signal {word}") from None


class _Output:
    """What a command writes, up to a limit; processes it left behind may hold the other end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._bytes = bytearray()
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def close(self) -> str:
        """Everything until now; nothing is read any more."""
        while self._read():
            pass
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        return self._bytes.decode(errors="replace")

    def _read(self) -> bool:
        """Take what is there; the beginning is dropped when it gets too long."""
        with contextlib.suppress(BlockingIOError):
            if found := os.read(self._descriptor, 2**16):
                self._bytes += found
                del self._bytes[:-_OUTPUT_BYTES_MAX]
                return True
            asyncio.get_running_loop().remove_reader(self._descriptor)  # end of file
        return False
