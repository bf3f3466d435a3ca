"""How many files processes may have open: read from the kernel, and changed while they run."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PASSES = 8
"""How often to look for children that were born with the old limit."""

UNLIMITED = 2**63
"""No limit, as a number that is larger than every other."""

Members = Callable[[], Iterable[int]]
"""The processes of a service at this moment."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A process, its soft and hard limit on open files, and how many are open."""

    pid: int
    soft: int
    hard: int
    opened: int


class FileLimit:
    """No process of a service may have more files open; only soft limits are touched.

    Processes that are there are changed, their children inherit; one that begins anew, or raises
    its own limit, is seen by the next `hold`.
    """

    def __init__(self, members: Members, files: int) -> None:
        self.files = files
        self._members = members
        self._before: dict[tuple[int, str], int] = {}

    def hold(self) -> None:
        """Lower what is higher."""
        first = not self._before
        for pid in self._members():
            found = soft_and_hard(pid)
            if found and (first or found[0] > self.files):
                self._before.setdefault((pid, _born(pid)), found[0])
            if found and found[0] > self.files:
                set_soft(pid, self.files, found[1])

    def release(self) -> None:
        """Give every process what it had, and a child born meanwhile what its first parent had."""
        for _ in range(_PASSES):
            low = [pid for pid, soft in self._softs() if soft == self.files]
            raised = [pid for pid in low if self._raise(pid)]
            if not raised:
                break
        self._before.clear()

    def _softs(self) -> Iterator[tuple[int, int]]:
        for pid in self._members():
            if found := soft_and_hard(pid):
                yield pid, found[0]

    def _raise(self, pid: int) -> bool:
        before = self._before.get((pid, _born(pid))) or self._inherited(pid)
        found = soft_and_hard(pid)
        if before is None or found is None or before <= found[0]:
            return False
        set_soft(pid, min(before, found[1]), found[1])
        return True

    def _inherited(self, pid: int) -> int | None:
        """What the nearest ancestor had before, or else the one that had most."""
        seen: set[int] = set()
        while pid > 1 and pid not in seen:
            seen.add(pid)
            pid = int((_stat(pid) or ["", "0"])[1])
            if before := self._before.get((pid, _born(pid))):
                return before
        return max(self._before.values(), default=None)


def limited(members: Iterable[int]) -> list[Limited]:
    """What is in force for every process of these that lives, in the kernel's words."""
    found = []
    for pid in members:
        if both := soft_and_hard(pid):
            opened = 0
            with contextlib.suppress(OSError):
                opened = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208
            found.append(Limited(pid, *both, opened))
    return found


def soft_and_hard(pid: int) -> tuple[int, int] | None:
    """Its limits; None when it is gone or only waits to be reaped."""
    try:
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft, hard = line.split()[3:5]
                return _number(soft), _number(hard)
    except OSError:
        pass
    return None


def set_soft(pid: int, soft: int, hard: int) -> None:
    """Change a soft limit; as the process's own user where this one may not (prlimit(2))."""
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_word(soft), _word(hard)))
    except ProcessLookupError:
        return
    except PermissionError:
        _set_as_its_user(pid, soft, hard)


def _set_as_its_user(pid: int, soft: int, hard: int) -> None:
    """In a child that has become that user: it takes no right over all of the machine's limits."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    uid, gid = (next(int(s.split()[1]) for s in status if s.startswith(k)) for k in ("Uid", "Gid"))
    if not (child := os.fork()):
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_word(soft), _word(hard)))
        except ProcessLookupError:
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the parent may run in the child
            os._exit(1)
        os._exit(0)
    _, status_word = os.waitpid(child, 0)
    if status_word:
        raise PermissionError(f"process {pid} does not let its limit on open files be changed")


def _number(text: str) -> int:
    return UNLIMITED if text == "unlimited" else int(text)


def _word(limit: int) -> int:
    return resource.RLIM_INFINITY if limit >= UNLIMITED else limit


def _born(pid: int) -> str:
    """When it started, in a form that no other process of this id has (proc(5), field 22)."""
    fields = _stat(pid)
    return fields[19] if fields else ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
