"""A file that leaves no room on a disk: without a name, so it is gone with whoever holds it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from .groups import InsideError
from .mounts import folder_of, mount_of, resolved

Where = Callable[[], int | None]
"""A process of the service at this moment; None while none runs."""


class Ballast:
    """Grows until `free_bytes` are left, and again whenever the service frees something.

    It never shrinks while it is held: what the service writes takes from those bytes.
    """

    def __init__(self, where: Where, path: str, free_bytes: int) -> None:
        self.free_bytes = free_bytes
        self._where = where
        self._path = path
        self._file: int | None = None
        self._device = 0

    @property
    def size_bytes(self) -> int:
        """What it takes on the disk, by the kernel's word."""
        return 0 if self._file is None else os.fstat(self._file).st_blocks * 512

    def hold(self) -> None:
        """Grow, on the disk that is there now: a `tmpfs` is another one after a restart."""
        pid = self._where()
        if pid is None:
            self.release()
            return
        folder = sized_folder(pid, self._path)
        device = os.stat(folder).st_dev  # noqa: PTH116 - a descriptor's is asked for as well
        if self._file is None or device != self._device:
            self.release()
            self._file, self._device = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), device
        self._grow(self._file)

    def release(self) -> None:
        """Give all of it back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _grow(self, file: int) -> None:
        found = os.fstatvfs(file)
        size, more = os.fstat(file).st_size, found.f_bavail * found.f_frsize - self.free_bytes
        more -= more % found.f_frsize
        while more >= found.f_frsize:
            if not extends(file, size, more):  # the service was quicker
                more = more // 2 // found.f_frsize * found.f_frsize
                continue
            return


def sized_folder(pid: int, path: str) -> str:
    """The folder, opened the way of that process, if its disk may be filled.

    Raises:
        InsideError: it is on a disk that others use.
    """
    place = resolved(pid, path)
    if why := why_not(pid, place):
        raise InsideError(why)
    return folder_of(pid, place)


def why_not(pid: int, place: str) -> str:
    """Why the disk of a folder must not be filled; "" when it belongs to the service alone."""
    mount = mount_of(pid, place)
    device = os.stat(folder_of(pid, place)).st_dev  # noqa: PTH116
    if mount.is_sized and mount.device == f"{os.major(device)}:{os.minor(device)}":
        return ""
    if mount.kind == "tmpfs":
        return f"{place} is in memory without a size: it would take half of the machine's"
    return f"{place} is on {mount.kind}, the disk of this machine"


def room(pid: int, path: str, wanted_bytes: int) -> dict[str, object]:
    """What there is of a disk, and whether `wanted_bytes` more can be had: tried, not computed."""
    try:
        place = resolved(pid, path)
    except InsideError as error:  # what is not there is not full
        nothing = dict.fromkeys(("total_bytes", "free_bytes", "memory_bytes"), 0)
        return {**nothing, "takes": True, "why_not": str(error)}
    folder = folder_of(pid, place)
    found = os.statvfs(folder)
    why = why_not(pid, place)
    return {
        "total_bytes": found.f_blocks * found.f_frsize,
        "free_bytes": found.f_bavail * found.f_frsize,
        "takes": not why and _takes(folder, wanted_bytes),
        "why_not": why,
        "memory_bytes": _memory_bytes(),
    }


def extends(file: int, size: int, more: int) -> bool:
    """Make a file longer; False, and as it was, when there is no room."""
    try:
        os.posix_fallocate(file, size, more)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        with contextlib.suppress(OSError):
            os.ftruncate(file, size)
        return False
    return True


def _takes(folder: str, wanted_bytes: int) -> bool:
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        return extends(file, 0, wanted_bytes)
    finally:
        os.close(file)


def _memory_bytes() -> int:
    """How much memory the machine could still give."""
    with open("/proc/meminfo") as lines:  # noqa: PTH123
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
