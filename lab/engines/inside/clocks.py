"""Wall clocks of services that run with libfaketime: set by a file, read as the service reads them.

The library answers in place of the C library's `time`, `gettimeofday` and `clock_gettime`. What is
linked statically or asks the kernel itself (Go) never asks it, so every process is looked at.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from .ballast import Where
from .groups import InsideError
from .mounts import folder_of, resolved

CLOCK = "/etc/lab/clock"
"""The file, in the container, with the offset in seconds."""
RIGHT = "+0"
_LIBRARY = "libfaketime"
_ASK_NOT = ("docker-init", "tini")
"""Statically linked, and without a use for the time: they wait for the service (`init: true`)."""
_GO = b"\xff Go buildinf:"
"""How a program compiled by Go begins the note of its version (debug/buildinfo)."""
_CHUNK_BYTES = 1 << 20
_DATE_S = 5.0


class Clock:
    """The offset of a service's clock. It stays in the container, over restarts."""

    def __init__(self, where: Where, by_s: float) -> None:
        self.by_s = by_s
        self._where = where

    @property
    def is_right(self) -> bool:
        """Whether the file says the right time, and somebody could look."""
        pid = self._where()
        return pid is not None and not self.by_s and said(pid) == RIGHT

    def hold(self) -> None:
        """Write the offset where it is another; at once for whoever reads it just then."""
        pid = self._where()
        wanted = f"{self.by_s:+.6f}" if self.by_s else RIGHT
        if pid is not None and said(pid) != wanted:
            file = Path(folder_of(pid, resolved(pid, CLOCK)))
            new = file.with_name("clock.new")
            new.write_text(wanted)
            new.chmod(0o644)
            new.replace(file)

    def release(self) -> None:
        """The right time."""
        self.by_s = 0.0
        self.hold()


def said(pid: int) -> str:
    """What the file says; RIGHT when there is none."""
    try:
        return Path(folder_of(pid, resolved(pid, CLOCK))).read_text().strip()
    except (OSError, InsideError):
        return RIGHT


def why_not(pids: list[int]) -> str:
    """Why the clock of these processes cannot be set; "" when it can for all of them."""
    for pid in pids:
        try:
            program = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
            mapped = _LIBRARY in Path(f"/proc/{pid}/maps").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if not mapped and Path(program).name in _ASK_NOT:
            continue
        if not mapped:
            return (
                f"{program} runs without {_LIBRARY}: its image has none, or it is linked statically"
            )
        if _is_go(f"/proc/{pid}/exe"):
            return f"{program} is written in Go, and asks the kernel itself for the time"
    return ""


def offset_s(pid: int) -> float:
    """How far the wall clock is from this machine's, as a `date` of the container has it.

    With the environment of that process, in its files.
    """
    environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    env = dict(pair.split(b"=", 1) for pair in environ if b"=" in pair)
    before_s = time.time()
    try:
        done = subprocess.run(
            ["/usr/sbin/chroot", f"/proc/{pid}/root", "date", "+%s.%N"],
            env={b"PATH": b"/usr/bin:/bin", **env, b"LC_ALL": b"C"},
            capture_output=True,
            timeout=_DATE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise InsideError(f"its image has no `date` that runs: {said.decode()}") from error
    return float(done.stdout) - (before_s + time.time()) / 2


def _is_go(program: str) -> bool:
    rest = b""
    with open(program, "rb") as file:  # noqa: PTH123
        while chunk := file.read(_CHUNK_BYTES):
            if _GO in rest + chunk:
                return True
            rest = chunk[-len(_GO) :]
    return False
