"""How fast a container's disk is: limited by its cgroup, and tried by writing and reading.

cgroup v1: `blkio.throttle.*_device`; v2: `io.max` (the kernel's admin-guide, blkio-controller.rst
and cgroup-v2.rst). Both limit a device as a whole, by its number, not a partition of it.
"""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

from .groups import Group, InsideError
from .mounts import folder_of, mount_of, resolved

_LEAST_BYTES = 16 << 10
_USUAL_BYTES = 1 << 20
_MOST_BYTES = 32 << 20
_BLOCK_BYTES = 4096
_DOCKER_S_OWN = "/etc/hostname"
"""Docker mounts it from its own folder, where the layers of containers are as well."""


class Throttle:
    """A limit on what a container writes and reads per second; None is no limit."""

    def __init__(self, group: Group, device: str, write: int | None, read: int | None) -> None:
        self._group = group
        self._device = device
        self._wanted = {"write": write, "read": read}

    def hold(self) -> None:
        """Set it where it is not: the cgroup is another one after a restart."""
        self._set(self._wanted)

    def release(self) -> None:
        """No limit."""
        self._set({"write": None, "read": None})

    def _set(self, wanted: dict[str, int | None]) -> None:
        if self._group.disks.exists() and in_force(self._group, self._device) != wanted:
            for name, text in _lines(self._group.version, self._device, wanted):
                (self._group.disks / name).write_text(text)


def in_force(group: Group, device: str) -> dict[str, int | None]:
    """Bytes per second that the container may write and read, in the kernel's words."""
    if group.version == 1:
        return {
            way: _number(_line(group.disks / f"blkio.throttle.{way}_bps_device", device))
            for way in ("write", "read")
        }
    pairs = dict(p.split("=") for p in _line(group.disks / "io.max", device).split())
    return {way: _number(pairs.get(f"{way[0]}bps", "max")) for way in ("write", "read")}


def why_not(group: Group) -> str:
    """Why this container's disk cannot be limited; "" when it can."""
    name = "blkio.throttle.write_bps_device" if group.version == 1 else "io.max"
    file = group.disks / name
    if not file.exists():
        return f"its cgroup has no {name}: this kernel, or Docker without root, limits no disks"
    return "" if os.access(file, os.W_OK) else f"{name} of its cgroup cannot be written"


def device_of(pid: int, path: str) -> str:
    """The number (`254:0`) of the device that a folder of that process is on.

    Raises:
        InsideError: it is on none, as in memory or on a network.
    """
    mount = mount_of(pid, resolved(pid, path))
    if mount.kind == "overlay":
        mount = mount_of(pid, _DOCKER_S_OWN)
    if mount.device.startswith("0:"):
        raise InsideError(f"{path} is on {mount.kind}, which is on no device of its own")
    spot = Path(f"/sys/dev/block/{mount.device}").resolve()
    if (spot / "partition").exists():
        return (spot.parent / "dev").read_text().strip()
    return mount.device


def speed(group: Group, pid: int, path: str, within_s: float) -> dict[str, float]:
    """Bytes per second of a write with fsync and of a direct read, made inside the container.

    By a child that joins the container's cgroup, in a file without a name; `within_s` is about how
    long each may take where there is a limit.
    """
    folder = folder_of(pid, resolved(pid, path))
    limits = in_force(group, device_of(pid, path))
    sizes = {way: _size(limit, within_s) for way, limit in limits.items()}
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            (group.disks / "cgroup.procs").write_text(str(os.getpid()))
            os.write(writing, " ".join(map(str, _try(folder, **sizes))).encode())
        except BaseException as error:  # noqa: BLE001 - nothing of the parent may run in the child
            os.write(writing, f"error {error}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    if not text or text.startswith("error"):
        raise InsideError(f"its disk could not be tried: {text}")
    write_s, read_s = map(float, text.split())
    return {"write": sizes["write"] / write_s, "read": sizes["read"] / read_s}


def _size(limit: int | None, within_s: float) -> int:
    """How many bytes to try: what the limit lets by in that time, in whole blocks."""
    size = _USUAL_BYTES if limit is None else int(limit * within_s)
    return min(max(size, _LEAST_BYTES), _MOST_BYTES) // _BLOCK_BYTES * _BLOCK_BYTES


def _try(folder: str, write: int, read: int) -> tuple[float, float]:
    """Seconds for so many bytes each; what is read is the beginning, again and again."""
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    content = os.urandom(write)
    mark_s = time.monotonic()
    os.write(file, content)
    os.fsync(file)
    write_s = time.monotonic() - mark_s
    direct = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_DIRECT)
    size = min(write, read, _USUAL_BYTES)
    block, left = mmap.mmap(-1, size), read  # aligned, as direct reads need it
    mark_s = time.monotonic()
    while left > 0:
        left -= os.preadv(direct, [block], 0)
    return write_s, time.monotonic() - mark_s


def _lines(version: int, device: str, wanted: dict[str, int | None]) -> list[tuple[str, str]]:
    """What is written where; 0 is no limit for v1, `max` for v2."""
    if version == 1:
        return [
            (f"blkio.throttle.{way}_bps_device", f"{device} {wanted[way] or 0}") for way in wanted
        ]
    words = " ".join(f"{way[0]}bps={wanted[way] or 'max'}" for way in wanted)
    return [("io.max", f"{device} {words}")]


def _line(file: Path, device: str) -> str:
    """What a file says of a device; "" for nothing."""
    lines = file.read_text().splitlines() if file.exists() else []
    mark = f"{device} "
    return next((line.removeprefix(mark) for line in lines if line.startswith(mark)), "")


def _number(word: str) -> int | None:
    return int(word) or None if word.isdigit() else None
