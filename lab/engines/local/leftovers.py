"""What runs left on this machine: processes and folders; and removing them, and nothing else.

A supervisor removes its run itself. This is for one that was kept on purpose, and for what stays
when the supervisor, too, was killed. A process belongs to a run when its environment says so; or
it works in the run's folder and has none: PostgreSQL, nginx and others write over theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.engines.local import owner
from lab.engines.local.owner import Owner
from lab.engines.local.processes import Process, identity, is_alive, processes

_ENDS_BY_ITSELF_S = 10.0
_STOPS_S = 30.0
_DIES_S = 10.0
_BEGINS_S = 60.0
_LOOK_AGAIN_S = 0.01


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one run has left: its folder, there or not, and ids of its processes.

    `alive`: the process that ordered it still runs. `kept`: it was left up on purpose (`lab up`).
    """

    run_id: str
    folder: Path
    pids: tuple[int, ...]
    alive: bool
    kept: bool

    def __str__(self) -> str:
        found = [f"{len(self.pids)} process{'es' * (len(self.pids) > 1)}"] if self.pids else []
        found += [f"folder {self.folder}"] if self.folder.exists() else []
        return f"run {self.run_id}: {', '.join(found)}"


def leftovers(run_id: str | None = None) -> list[Leftover]:
    """Everything of this user's runs, by run; also what belongs to a run in progress."""
    found = _processes_by_run()
    run_ids = {*found, *(folder.name for folder in _folders())}
    wanted = run_ids if run_id is None else run_ids & {run_id}
    return [_leftover(each, found[each]) for each in sorted(wanted)]


def clean(leftover: Leftover) -> list[str]:
    """Remove what one run left; what could not be removed, in words; nothing when all is gone."""
    run_id, folder = leftover.run_id, leftover.folder
    owns = owner.read(folder)
    if owns and not owns.is_here():
        return [f"run {run_id} belongs to the machine {owns.host}: clean up there"]
    if owns and owns.kept:
        _ask_to_stop(folder)
    elif owns and not owns.is_alive():  # its supervisor is removing it at this moment, perhaps
        _until(lambda: not is_alive(owns.supervisor), _ENDS_BY_ITSELF_S)
    _until(lambda: not _kill(run_id), _DIES_S)
    owner.remove(folder)
    return [str(each) for each in leftovers(run_id)]


def _leftover(run_id: str, found: dict[Process, str]) -> Leftover:
    folder = owner.folder_of(run_id)
    owns = owner.read(folder)
    if owns:
        alive = owns.is_alive()
    elif folder.exists():  # a run that is just beginning, or a folder that somebody damaged
        alive = time.time() - folder.stat().st_mtime < _BEGINS_S
    else:
        alive = any(is_alive(_supervisor(text)) for text in found.values() if text)
    pids = tuple(sorted(process.pid for process in found))
    return Leftover(run_id, folder, pids, alive=alive, kept=bool(owns and owns.kept))


def _folders() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (path for path in owner.folders().iterdir() if path.is_dir())


def _processes_by_run() -> defaultdict[str, dict[Process, str]]:
    """Processes that belong to runs, and what their environment says of their owner.

    Neither this process nor those it came from: somebody cleans up from inside a run's folder.
    """
    found: defaultdict[str, dict[Process, str]] = defaultdict(dict)
    homes = {str(folder): folder.name for folder in _folders()}
    owners = {each.run_id: each for each in map(owner.read, _folders()) if each}
    for each in owners.values():
        if each.is_here() and is_alive(each.supervisor):
            found[each.run_id][each.supervisor] = ""
    for pid in {*processes().everyone()} - set(_own_line()):
        said = _belongs(pid, homes, owners)
        if said and (process := identity(pid)) and is_alive(process):
            found[said[0]][process] = said[1]
    return found


def _belongs(pid: int, homes: dict[str, str], owners: dict[str, Owner]) -> tuple[str, str] | None:
    """The run of a process, and what it says of its owner."""
    table = processes()
    environment = table.environment(pid)
    said = environment.get(owner.OWNER, "")
    if said.startswith(f"{os.geteuid()}:") and owner.RUN in environment:
        return environment[owner.RUN], said
    if environment or table.has_terminal(pid):
        return None
    folder = f"{table.folder(pid)}/"
    run_id = next((homes[home] for home in homes if folder.startswith(f"{home}/")), None)
    if run_id not in owners or not owners[run_id].is_here():
        return None
    return run_id, ""


def _own_line() -> Iterator[int]:
    pid = os.getpid()
    while pid > 0:
        yield pid
        seen = processes().look(pid)
        pid = seen.parent if seen else 0


def _supervisor(said: str) -> Process:
    _, pid, started = said.split(":", 2)
    return Process(int(pid), started)


def _kill(run_id: str) -> bool:
    """Kill what there is of a run; whether there was anything."""
    found = _processes_by_run()[run_id]
    for process in found:
        with contextlib.suppress(PermissionError):
            processes().send(process, signal.SIGKILL)
    return bool(found)


def _ask_to_stop(folder: Path) -> None:
    """Have a kept run's supervisor take it down; what it does not do is done afterwards."""
    order: dict[str, Any] = {"id": 1, "do": "stop"}
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.settimeout(_STOPS_S)
        connection.connect(str(folder / owner.SOCKET))
        connection.sendall(json.dumps(order).encode() + b"\n")
        while connection.recv(2**16):  # it says what happens, and closes when all is done
            pass


def _until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(_LOOK_AGAIN_S)
