"""Files of another mount namespace, and the file systems that they are on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .groups import InsideError

_LINKS = 40
"""How many symbolic links one path may lead over, as in the kernel (path_resolution(7))."""
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of `mountinfo` (proc(5)): where, which device (`254:0`), which kind, its options."""

    point: str
    device: str
    kind: str
    options: frozenset[str]

    @property
    def is_sized(self) -> bool:
        """Whether it is a file system in memory with a size of its own."""
        return self.kind == "tmpfs" and any(o.startswith("size=") for o in self.options)


def mounts(pid: int) -> list[Mount]:
    """Everything that is mounted where this process is."""
    found = []
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(" ", 2)
        point = _ESCAPE.sub(lambda m: chr(int(m[1], 8)), fields[4])
        found.append(Mount(point, fields[2], kind, frozenset(options.split(","))))
    return found


def mount_of(pid: int, path: str) -> Mount:
    """The mount that a path without symbolic links is on; a later one hides an earlier one."""
    under = [m for m in mounts(pid) if f"{path}/".startswith(f"{m.point.rstrip('/')}/")]
    return max(reversed(under), key=lambda m: len(m.point))


def resolved(pid: int, path: str) -> str:
    """A path as this process sees it, without symbolic links.

    The kernel would follow an absolute link from the root of whoever asks, which is not the root
    of that process: one would look at, or fill, the wrong disk.

    Raises:
        InsideError: there is nothing.
    """
    root = Path(f"/proc/{pid}/root")
    waiting, here, links = [part for part in reversed(path.split("/")) if part], "", 0
    while waiting:
        part = waiting.pop()
        if part in (".", ".."):
            here = os.path.dirname(here) if part == ".." else here  # noqa: PTH120 - text alone
            continue
        spot = root / f"{here}/{part}"[1:]
        if not os.path.lexists(spot):
            raise InsideError(f"there is no {path} in it")
        if not spot.is_symlink():
            here = f"{here}/{part}"
            continue
        links += 1
        if links > _LINKS:
            raise InsideError(f"{path} leads over too many links")
        target = str(spot.readlink())
        here = "" if target.startswith("/") else here
        waiting += [step for step in reversed(target.split("/")) if step]
    return here or "/"


def folder_of(pid: int, path: str) -> str:
    """A path of that process that has no symbolic links, as this one can open it."""
    return f"/proc/{pid}/root{path}"
