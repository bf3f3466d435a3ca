"""Running `lab` as a person does, and looking at what it leaves."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).parent / "files"
QUICK = FILES / "quick.yaml"
LAB = [sys.executable, "-m", "lab"]


def lab(
    *args: str, timeout_s: float = 300, cwd: Path = PROJECT, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `lab` to its end."""
    return subprocess.run(
        [*LAB, *args],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def start_lab(*args: str, log: Path, **env: str) -> subprocess.Popen[str]:
    """Start `lab` in a session of its own, its output going to a file."""
    with log.open("w") as output:
        return subprocess.Popen(
            [*LAB, *args],
            cwd=PROJECT,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def wait_until(happened: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Look ten times a second until it happened; fail saying what did not."""
    until_s = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < until_s, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.1)


def left_by(engine: str, run_id: str) -> list[str]:
    """Everything that a run left on an engine, looked for without the lab's own help."""
    return with_label(run_id) if engine == "docker" else on_this_machine(run_id)


def on_this_machine(run_id: str) -> list[str]:
    """Processes that work for a run or in its folder, and the folder."""
    found = [str(path) for path in Path(tempfile.gettempdir()).glob(f"chaos-lab-*/{run_id}")]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            marks = [process.cwd(), *process.cmdline(), process.environ().get("LAB_RUN", "")]
            if any(run_id in mark for mark in marks):
                found.append(f"{process.pid} {process.name()}")
    return found


def with_label(run_id: str) -> list[str]:
    """Containers and networks that carry the run's label."""
    label = f"label=lab.run={run_id}"
    found = []
    for command in (["ps", "-aq"], ["network", "ls", "-q"], ["volume", "ls", "-q"]):
        listed = subprocess.run(
            ["docker", *command, "--filter", label], capture_output=True, text=True, check=True
        )
        found += listed.stdout.split()
    return found


def run_id_in(runs: Path) -> str:
    """The id of the only run under a folder."""
    (folder,) = (path for path in runs.glob("*/2*") if not path.is_symlink())
    return folder.name.rpartition("-")[2]
