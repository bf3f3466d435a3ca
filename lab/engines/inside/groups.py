"""Which processes a container has, by its cgroup: that has the same name after a restart."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class InsideError(Exception):
    """An order that cannot be carried out; its text goes back."""


@dataclass(frozen=True, slots=True)
class Group:
    """The cgroup of a container: the folder that lists its processes, and that of its disk limits.

    On cgroup v2 both are the same.
    """

    processes: Path
    disks: Path
    version: int

    def members(self) -> list[int]:
        """Every process of the container, commands run beside it as well; none while it is down."""
        return sorted(_members(str(self.processes)))


def _members(folder: str) -> list[int]:
    """Of a cgroup and those below it. A folder's links are its subfolders and two more."""
    try:
        with open(f"{folder}/cgroup.procs") as file:  # noqa: PTH123 - fifty times a second
            found = list(map(int, file.read().split()))
        if os.stat(folder).st_nlink > 2:  # noqa: PTH116
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    found += _members(entry.path)
    except OSError:  # it ended meanwhile
        return []
    return found


def group_of(container: str, pid: int, root: Path) -> Group:
    """The cgroup of the container whose first process has this id.

    Args:
        container: its full id, which is part of the cgroup's name.
        pid: as the daemon's machine numbers it.
        root: where that machine's cgroups are mounted.

    Raises:
        InsideError: that process is not to be seen from here.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    paths: dict[str, str] = dict(line.split(":", 2)[1:] for line in lines)
    if not any(container in path for path in paths.values()):
        raise InsideError(f"process {pid} of Docker's machine is not to be seen from a container")
    if "memory" in paths:
        blkio = paths.get("blkio", "/nowhere")
        return Group(root / "memory" / paths["memory"][1:], root / "blkio" / blkio[1:], 1)
    folder = root / paths[""][1:]
    return Group(folder, folder, 2)
