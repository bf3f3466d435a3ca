"""Who owns what a run created: labels, and whether the owner still lives."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

RUN = "lab.run"
OWNER = "lab.owner"
HOST = "lab.host"
KEPT = "lab.kept"
PART = "lab.part"
INSTANCE = "lab.instance"


def labels_of(run_id: str, *, kept: bool) -> dict[str, str]:
    """The labels on everything a run creates: its id and the process that answers for it.

    A start time goes with the process id because ids are given anew, and the host's name because
    two machines (or containers) may share a daemon but not their process ids.
    """
    owner = f"{os.getpid()}.{_started(os.getpid())}"
    labels = {RUN: run_id, OWNER: owner, HOST: platform.node()}
    return {**labels, KEPT: "true"} if kept else labels


def is_alive(labels: Mapping[str, str]) -> bool:
    """Whether the owner still runs; one that cannot be looked at from here counts as alive."""
    if labels.get(HOST) != platform.node():
        return True
    pid, _, started = labels.get(OWNER, "").partition(".")
    return pid.isdigit() and _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process started, in a form that no other process of this id has; "" if it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        # Field 22, counted after the name, which may hold spaces and brackets (proc(5)).
        return stat.read_text().rpartition(")")[2].split()[19]
    except OSError:
        if platform.system() == "Linux":
            return ""
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "-".join(done.stdout.split())
