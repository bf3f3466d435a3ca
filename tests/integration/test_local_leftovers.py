"""Whoever is killed, nothing of a run stays, and nothing else goes with it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.engines.local import owner
from lab.engines.local.leftovers import clean, leftovers
from lab.engines.local.processes import (
    PortableProcesses,
    Process,
    identity,
    processes,
)
from tests.integration.local_support import (
    ROOT,
    is_gone,
    within,
)

ORCHESTRATOR = """
import asyncio, sys
from pathlib import Path
from lab.engines.local.owner import folder_of
from tests.integration import local_support as test
async def main():
    run_id, log, mode = sys.argv[1:]
    supervisor = await test.Supervisor.start(run_id, folder_of(run_id), Path(log))
    home = supervisor.folder / 'db-1'
    home.mkdir()
    pids = await test.family(supervisor, home)
    if mode == 'keep':
        await supervisor.keep()
        await supervisor.close()
    print(supervisor.pid, *pids.values(), flush=True)
    if mode != 'keep':
        await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def orchestrated(log: Path, mode: str) -> Iterator[tuple[str, list[int], int]]:
    """Another orchestrator: its run, the ids of its supervisor and services, and its own."""
    run_id = secrets.token_hex(4)
    with subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, run_id, str(log), mode],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        try:
            pids = process.stdout.readline()
            yield run_id, [int(pid) for pid in pids.split()], process.pid
        finally:
            process.kill()
            for left in leftovers(run_id):
                clean(left)


def test_a_killed_orchestrator_leaves_nothing(tmp_path: Path) -> None:
    """No process, no folder; and the log says who did that."""
    log = tmp_path / "supervisor.log"
    with orchestrated(log, "run") as (run_id, pids, orchestrator):
        (before,) = leftovers(run_id)
        assert before.alive
        assert {*pids} <= {*before.pids}
        os.kill(orchestrator, signal.SIGKILL)
        assert within(5, lambda: all(map(is_gone, pids)))
        assert not owner.folder_of(run_id).exists()
        assert leftovers(run_id) == []
        assert "ended without taking the run down" in log.read_text()


def test_after_a_killed_supervisor_the_rest_is_found_and_only_that(tmp_path: Path) -> None:
    """Two runs side by side; a bystander in the folder; the orchestrator is killed as well."""
    log = tmp_path / "log"
    with (
        orchestrated(log, "run") as (run_id, pids, orchestrator),
        orchestrated(log, "run") as (other_id, others, _),
    ):
        folder = owner.folder_of(run_id)
        with subprocess.Popen(["sleep", "300"], cwd=folder, start_new_session=True) as bystander:
            os.kill(orchestrator, signal.SIGSTOP)  # or it would have its supervisor clean up
            os.kill(pids[0], signal.SIGKILL)
            os.kill(orchestrator, signal.SIGKILL)
            assert within(5, lambda: not leftovers(run_id)[0].alive)
            (left,) = leftovers(run_id)
            assert left.pids  # daemons do not die with their parent's parent
            assert bystander.pid not in left.pids
            assert clean(left) == []
            assert within(5, lambda: all(map(is_gone, pids)))
            assert not folder.exists()
            assert bystander.poll() is None
            bystander.kill()
        (still,) = leftovers(other_id)
        assert still.alive
        assert not any(map(is_gone, others))


def test_what_is_kept_stays_until_it_is_cleaned(tmp_path: Path) -> None:
    """The orchestrator ends at once, its processes go on, and the supervisor takes them down."""
    log = tmp_path / "supervisor.log"
    with orchestrated(log, "keep") as (run_id, pids, orchestrator):
        assert within(3, lambda: is_gone(orchestrator))
        (left,) = leftovers(run_id)
        assert left.kept
        assert not left.alive
        assert not any(map(is_gone, pids))
        said = json.dumps({"id": 5, "do": "state", "name": "db-1"}).encode() + b"\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(left.folder / owner.SOCKET))
            connection.sendall(said)
            answer = json.loads(connection.recv(4096))
        assert answer["id"] == 5
        assert answer["is"]["status"] == "running"
        assert clean(left) == []
        assert within(3, lambda: all(map(is_gone, pids)))
        assert log.read_text() == ""


def test_a_process_with_the_id_of_another_is_never_killed() -> None:
    """Ids are given anew: a record that names a pid with another start means somebody else."""
    run_id = secrets.token_hex(4)
    folder = owner.folder_of(run_id)
    with subprocess.Popen(["sleep", "300"]) as innocent:
        earlier = Process(innocent.pid, "1-earlier")
        owner.claim(folder, owner.Owner(run_id, False, earlier, earlier))
        assert not processes().send(earlier, signal.SIGKILL)
        assert not PortableProcesses().send(earlier, signal.SIGKILL)
        (left,) = leftovers(run_id)
        assert (left.alive, left.pids) == (False, ())
        assert clean(left) == []
        assert not folder.exists()
        assert innocent.poll() is None
        now = identity(innocent.pid)
        assert now
        assert processes().send(now, signal.SIGKILL)


def test_a_run_of_another_machine_is_left_alone() -> None:
    """Two containers may share their temporary folder."""
    run_id = secrets.token_hex(4)
    folder = owner.folder_of(run_id)
    elsewhere = owner.Owner(run_id, False, Process(1, ""), Process(1, ""), "elsewhere")
    owner.claim(folder, elsewhere)
    try:
        (left,) = leftovers(run_id)
        assert left.alive
        assert "belongs to the machine elsewhere" in clean(left)[0]
        assert folder.exists()
    finally:
        owner.remove(folder)
