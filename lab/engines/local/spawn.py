"""Starting a process that cannot outlive its parent, where the system lets us say so."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


def adopt_orphans() -> bool:
    """Make orphans below this process its own children; False where no system call does that."""
    return sys.platform == "linux" and bool(_prctl()(_ADOPT_ORPHANS, 1, 0, 0, 0) == 0)


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    output: int,
    *,
    input_: int = subprocess.DEVNULL,
    uid: int | None = None,
    gid: int | None = None,
    nofile: int | None = None,
) -> int:
    """Start a process in a session of its own, both outputs into `output`; return its id.

    The caller reaps it. Only for a process with one thread: code runs between fork and exec.

    Raises:
        OSError: it cannot be started.
        ValueError: more open files than this system allows.
    """
    identity: dict[str, Any] = {}
    if uid is not None and uid != os.geteuid():
        identity = {"user": uid, "group": uid if gid is None else gid, "extra_groups": []}
    process = subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=input_,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_preparation(nofile),  # noqa: PLW1509 - there is one thread
        **identity,
    )
    process.returncode = 0  # whoever reaps every child also reaps this one: Popen is not to try
    return process.pid


def _preparation(nofile: int | None) -> Callable[[], None]:
    """What the new process does to itself, as its own user already: that resets such settings."""
    parent = os.getpid()
    linux = sys.platform == "linux"
    prctl = _prctl() if linux else None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if nofile is not None and hard != resource.RLIM_INFINITY and nofile > hard:
        raise ValueError(f"{nofile} open files wanted, {hard} allowed here (ulimit -Hn)")

    def prepare() -> None:
        if nofile is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, hard))
        if prctl is not None:
            prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before that
                os._exit(127)

    return prepare


def _prctl() -> Any:
    return ctypes.CDLL(None, use_errno=True).prctl
