"""Process trees: everything that came from one process, also what left its session or its parent.

Signals to a process group are not enough: PostgreSQL's children have sessions of their own, and a
daemon has another parent. A tree is therefore walked, until nothing of it escapes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lab.engines.local.processes import Children, Process, Processes, Seen, processes

TREE = "LAB_INSTANCE"
"""The variable that names a process's tree in its environment."""

_INIT = 1
_LOOK_AGAIN_S = 0.0005
_FREEZE_FOR_KILL_S = 0.005


@dataclass(slots=True, eq=False)
class Tree:
    """One life of an instance, or one command run for it.

    `home` is the folder in which it works. `reaped_s` is the CPU time of what has been reaped.
    `started_s` is Unix time.
    `code` is the exit code of the first process, negative for a signal; None while it runs.
    """

    key: str
    root: Process
    home: str
    members: dict[int, str] = field(default_factory=dict)
    reaped_s: float = 0.0
    code: int | None = None
    asked: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    started_s: float = field(default_factory=time.time)


class Trees:
    """The trees below this process, and the one place where their processes are reaped.

    `mark` is in the environment of all of them and of nothing else. `adopts`: orphans become
    children of this process (`adopt_orphans`).
    """

    def __init__(
        self, mark: Mapping[str, str], *, adopts: bool, table: Processes | None = None
    ) -> None:
        self._mark = mark.items()
        self._adopts = adopts
        self._table = table or processes()
        self._trees: list[Tree] = []
        self._strays: dict[int, str] = {}

    def plant(self, key: str, pid: int, home: str) -> Tree:
        """Begin a tree with a process that this one has just started."""
        seen = self._table.look(pid)
        assert seen  # noqa: S101 - not reaped yet, so it is at least a zombie
        tree = Tree(key, seen.process, home, {pid: seen.process.started})
        self._trees.append(tree)
        return tree

    def fell(self, tree: Tree) -> None:
        """Forget a tree of which nothing is left."""
        self._trees.remove(tree)

    def walk(self, tree: Tree) -> list[Seen]:
        """Every process of a tree, parents before their children.

        A process is looked at before its children are: one that was stopped then cannot have had
        another child since, so a walk that finds all stopped has found all.
        """
        children = self._table.family()
        self._adopt(children)
        found: list[Seen] = []
        waiting, queued = list(tree.members), set(tree.members)
        for pid in waiting:
            seen = self._table.look(pid)
            if seen is None or tree.members.get(pid, seen.process.started) != seen.process.started:
                tree.members.pop(pid, None)
                continue
            tree.members[pid] = seen.process.started
            found.append(seen)
            new = [child for child in children(pid) if child not in queued]
            queued.update(new)
            waiting += new
        return found

    def status(self, tree: Tree) -> Literal["running", "paused", "exited"]:
        """As the kernel has it: paused only when every process is stopped."""
        if tree.code is not None:
            return "exited"
        living = [seen for seen in self.walk(tree) if seen.status != "zombie"]
        return "paused" if living and all(s.status == "stopped" for s in living) else "running"

    def cost(self, tree: Tree) -> tuple[float, int]:
        """CPU-seconds of the tree's whole life, dead processes included, and bytes of memory."""
        living = self.walk(tree)
        cpu_s = tree.reaped_s + sum(seen.cpu_s for seen in living)
        return cpu_s, sum(self._table.memory_bytes(seen.process.pid) for seen in living)

    def signal(self, tree: Tree, number: int) -> None:
        """Signal the first process of a tree, which tells the others what it likes."""
        self._table.send(tree.root, number)

    async def freeze(self, tree: Tree, timeout_s: float) -> None:
        """Stop the whole tree, again and again until a walk finds nothing that runs.

        Raises:
            TimeoutError: something still runs.
        """
        await self._signal_until(tree, signal.SIGSTOP, "running", timeout_s)

    async def thaw(self, tree: Tree, timeout_s: float) -> None:
        """Let the whole tree go on.

        Raises:
            TimeoutError: something is still stopped.
        """
        await self._signal_until(tree, signal.SIGCONT, "stopped", timeout_s)

    async def kill(self, tree: Tree, timeout_s: float = 10.0) -> bool:
        """Kill the whole tree and wait until none of it is left; False when some of it stays.

        Frozen first, so that nothing is born meanwhile, and children before parents: the kernel
        would let the rest of a stopped session go on when its leader ends.
        """
        deadline_s = time.monotonic() + timeout_s
        with contextlib.suppress(TimeoutError):  # it waits for a disk, perhaps: so it has no child
            await self.freeze(tree, _FREEZE_FOR_KILL_S)
        while living := [seen for seen in self.walk(tree) if _stays(seen)]:
            self._kill_all(living)
            if time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return True

    async def kill_strays(self, timeout_s: float = 5.0) -> list[int]:
        """Kill whatever else came from this process; the ids of what stays."""
        deadline_s = time.monotonic() + timeout_s
        while strays := [seen for seen in self._left() if _stays(seen)]:
            self._kill_all(strays)
            if time.monotonic() > deadline_s:
                return [seen.process.pid for seen in strays]
            await asyncio.sleep(_LOOK_AGAIN_S)
        return []

    def reap(self) -> list[Tree]:
        """Take note of every child that has ended; the trees whose first process has."""
        ended: list[Tree] = []
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            self._strays.pop(pid, None)
            tree = next((tree for tree in self._trees if pid in tree.members), None)
            if tree is None:
                continue
            tree.members.pop(pid)
            tree.reaped_s += used.ru_utime + used.ru_stime
            if pid == tree.root.pid and tree.code is None:
                tree.code = os.waitstatus_to_exitcode(status)
                tree.ended.set()
                ended.append(tree)

    def _kill_all(self, living: list[Seen]) -> None:
        for seen in reversed(living):
            if seen.status != "zombie":
                self._table.send(seen.process, signal.SIGKILL)

    async def _signal_until(self, tree: Tree, number: int, unwanted: str, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while wrong := [seen for seen in self.walk(tree) if seen.status == unwanted]:
            if time.monotonic() > deadline_s:
                ids = ", ".join(str(seen.process.pid) for seen in wrong)
                raise TimeoutError(f"{tree.key}: still {unwanted} after {timeout_s:g} s: {ids}")
            for seen in wrong:
                self._table.send(seen.process, number)
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _left(self) -> list[Seen]:
        """Whatever came from this process, parents before their children."""
        children = self._table.family()
        waiting = children(os.getpid())
        if not self._adopts:
            waiting += [pid for pid in self._table.everyone() if self._is_marked(pid)]
        found: list[Seen] = []
        for pid in waiting:
            if seen := self._table.look(pid):
                found.append(seen)
                waiting += children(pid)
        return found

    def _adopt(self, children: Children) -> None:
        """Give orphans, which have another parent now, to the trees they came from."""
        orphans = children(os.getpid()) if self._adopts else children(_INIT)
        for pid in orphans:
            if any(pid in tree.members for tree in self._trees):
                continue
            seen = self._table.look(pid)
            if seen is None or self._strays.get(pid) == seen.process.started:
                continue
            tree = self._origin(seen)
            if tree:
                tree.members[pid] = seen.process.started
            else:
                self._strays[pid] = seen.process.started

    def _origin(self, orphan: Seen) -> Tree | None:
        """By its environment; its session; or, where both were changed, the folder it works in."""
        pid = orphan.process.pid
        key = self._table.environment(pid).get(TREE) if self._is_marked(pid) else None
        for tree in self._trees:
            if tree.key == key or tree.root.pid == orphan.session:
                return tree
        if not self._adopts:
            return None  # it may be anybody's
        folder = f"{self._table.folder(pid)}/"
        inside = [tree for tree in self._trees if folder.startswith(f"{tree.home.rstrip('/')}/")]
        return max(inside, key=lambda tree: len(tree.home), default=None)

    def _is_marked(self, pid: int) -> bool:
        return self._mark <= self._table.environment(pid).items()


def _stays(seen: Seen) -> bool:
    """A zombie is as good as gone, but one that is ours to reap has to be counted first."""
    return seen.status != "zombie" or seen.parent == os.getpid()
