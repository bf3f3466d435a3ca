"""What the tests of the local engine's supervisor share: processes with relatives everywhere."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

import lab
from lab.engines.local import owner
from lab.engines.local.leftovers import leftovers
from lab.engines.local.program import Program
from lab.engines.local.supervised import Supervisor

ROOT = Path(lab.__file__).parent.parent
LINUX = sys.platform == "linux"

# One child in a session of its own, one daemon that nobody is the parent of, one grandchild.
FAMILY = """
import os, subprocess, sys, time
open(sys.argv[1] + '.root', 'w').write(str(os.getpid()))
def note(name): open(sys.argv[1] + '.' + name, 'w').write(str(os.getpid()))
def work(name):
    note(name)
    number = 0
    while True:
        number += 1
        if number % 1000 == 0:
            open(sys.argv[1] + '.' + name + '.count', 'w').write(str(number))
        time.sleep(0.00001)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        work('grandchild')
    work('session')
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        work('daemon')
    os._exit(0)
os.wait()
work('first')
"""
PARTS = ("session", "grandchild", "daemon", "first")


def program(home: Path, *argv: str, **others: object) -> Program:
    """A program that finds what it needs on the usual path."""
    return Program(argv, {"PATH": os.environ["PATH"]}, home, **others)  # type: ignore[arg-type]


def shell(home: Path, text: str) -> Program:
    return program(home, "bash", "-c", text)


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Whether a condition comes true in time."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True


def is_gone(pid: int) -> bool:
    """Gone, or a zombie that some other parent has to notice."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_in(path: Path) -> int:
    assert within(5, lambda: path.exists() and path.read_text())
    return int(path.read_text())


def open_to_all(folder: Path) -> None:
    folder.chmod(0o777)


def said_in(log: Path) -> list[str]:
    return log.read_text().split()


@asynccontextmanager
async def supervised(log: Path) -> AsyncIterator[Supervisor]:
    run_id = secrets.token_hex(4)
    found = await Supervisor.start(run_id, owner.folder_of(run_id), log)
    try:
        yield found
    finally:
        await found.close()
        assert not found.folder.exists()
        assert leftovers(run_id) == []


async def family(supervisor: Supervisor, home: Path, name: str = "db-1") -> dict[str, int]:
    """Start an instance with relatives everywhere; their ids once all are at work."""
    argv = (sys.executable, "-c", FAMILY, str(home / "pid"))
    await supervisor.launch(name, program(home, *argv), home / "log")
    found = {part: pid_in(home / f"pid.{part}") for part in PARTS}
    assert within(5, lambda: all((home / f"pid.{part}.count").exists() for part in PARTS))
    return found
