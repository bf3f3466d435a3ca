"""The folder of a run, and who answers for it.

    <temporary folder>/chaos-lab-<user id>/<run id>/owner.json

All folders of a user lie side by side, so that what a dead run left is found. The parents can be
passed through by others, for a server that may not run as root, but not listed.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import stat
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab.engines.local.processes import Process, identity, is_alive

SOCKET = "supervisor.sock"
RUN = "LAB_RUN"
OWNER = "LAB_OWNER"
_FILE = "owner.json"
_PASSABLE = 0o711
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Owner:
    """Who answers for a run: its supervisor, and the process that ordered it; on which machine."""

    run_id: str
    kept: bool
    supervisor: Process
    orchestrator: Process
    host: str = platform.node()

    def is_here(self) -> bool:
        """Whether its processes can be looked at: machines may share a folder, not process ids."""
        return self.host == platform.node()

    def is_alive(self) -> bool:
        """Whether the run is in progress; what cannot be looked at counts as alive."""
        return not self.is_here() or is_alive(self.orchestrator)


def folders() -> Path:
    """Where this user's runs have their folders."""
    return Path(tempfile.gettempdir()).resolve() / f"chaos-lab-{os.geteuid()}"


def folder_of(run_id: str) -> Path:
    """The folder of a run, whether it is there or not."""
    return folders() / run_id


def claim(folder: Path, owner: Owner) -> None:
    """Create a run's folder and write down who answers for it.

    Raises:
        OSError: it cannot be made, or its parent belongs to somebody else.
    """
    for last in (False, False, True):
        try:
            _make(folder)
            break
        except FileNotFoundError:  # another run has just ended and removed the empty parent
            if last:
                raise
    write(folder, owner)


def _make(folder: Path) -> None:
    folder.parent.mkdir(mode=_PASSABLE, parents=True, exist_ok=True)
    parent = folder.parent.lstat()
    if not stat.S_ISDIR(parent.st_mode) or parent.st_uid != os.geteuid():
        raise PermissionError(f"{folder.parent} is not a folder of this user: remove it")
    folder.parent.chmod(_PASSABLE)  # whatever the umask
    folder.mkdir(exist_ok=True)
    folder.chmod(_PASSABLE)


def write(folder: Path, owner: Owner) -> None:
    """Put down who answers, whole or not at all."""
    draft = folder / f"{_FILE}.new"
    draft.write_text(json.dumps(asdict(owner), indent=1) + "\n")
    draft.replace(folder / _FILE)


def read(folder: Path) -> Owner | None:
    """Who answers for a folder; None when nothing readable says so."""
    try:
        found = json.loads((folder / _FILE).read_text())
        supervisor, orchestrator = (Process(**found[who]) for who in ("supervisor", "orchestrator"))
        return Owner(found["run_id"], found["kept"], supervisor, orchestrator, found["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(folder: Path) -> None:
    """Write down that a run stays although the process that ordered it ends."""
    if owner := read(folder):
        write(folder, replace(owner, kept=True))


def here(run_id: str, orchestrator: int) -> Owner:
    """This process as the supervisor of a run."""
    gone = Process(orchestrator, "")
    me = identity(os.getpid())
    assert me  # noqa: S101 - it runs this line
    return Owner(run_id, kept=False, supervisor=me, orchestrator=identity(orchestrator) or gone)


def mark(owner: Owner) -> dict[str, str]:
    """What every process of a run has in its environment, to be found by."""
    supervisor = owner.supervisor
    return {RUN: owner.run_id, OWNER: f"{os.geteuid()}:{supervisor.pid}:{supervisor.started}"}


def remove(folder: Path) -> None:
    """Remove a run's folder, whatever the modes of its files, and after the last one its parent."""

    def open_up(_function: object, path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            for each in (Path(path).parent, Path(path)):
                if not each.is_symlink() and each.exists():
                    each.chmod(each.stat().st_mode | stat.S_IRWXU)

    for _ in range(_TRIES):  # the first opens what is closed; files may be born meanwhile
        shutil.rmtree(folder, onerror=open_up)
        if not folder.exists():
            break
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
