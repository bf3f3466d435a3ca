"""Whatever happens to the orchestrator, nothing with its label stays; what others use does."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import httpx
import pytest

import lab
from lab.engines.docker.clean import clean, leftovers
from lab.engines.docker.owner import labels_of
from lab.engines.docker.reaper import Reaper
from tests.contract import tiny
from tests.integration.docker_support import client, left_of, up

pytestmark = pytest.mark.docker

ROOT = Path(lab.__file__).parent.parent
ORCHESTRATOR = """
import asyncio, sys
from pathlib import Path
from lab.engines import Wanted
from lab.engines.docker import DockerEngine
from tests.contract import tiny
async def main():
    wanted = Wanted(sys.argv[1], Path(sys.argv[2]), drivers=False, keep=sys.argv[3] == 'keep')
    say = lambda text: print(text, flush=True)
    async with DockerEngine().up(tiny.deployment(), wanted, say) as cluster:
        print('is up', flush=True)
        print('entry=' + cluster.addresses().get('entry', 'none'), flush=True)
        if not wanted.keep:
            await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def api() -> Iterator[docker.DockerClient]:
    """A connection of the test's own."""
    found = client()
    yield found
    found.close()


def orchestrate(run_id: str, out: Path, mode: str = "run") -> subprocess.Popen[str]:
    """A process that brings the tiny deployment up and waits."""
    return subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, run_id, str(out), mode],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def said(process: subprocess.Popen[str], pattern: str) -> str:
    """The rest of the first line that has this pattern."""
    assert process.stdout
    for line in process.stdout:
        if found := re.search(pattern, line):
            return line[found.end() :].strip()
    raise AssertionError(f"it ended without saying {pattern}")


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in time."""
    deadline_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("moment", ["starting", "is up"])
@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_a_killed_orchestrator_leaves_nothing(
    tmp_path: Path, api: docker.DockerClient, moment: str, number: signal.Signals
) -> None:
    """Neither once everything is up nor half way there; the reaper says what it did."""
    run_id = secrets.token_hex(4)
    process = orchestrate(run_id, tmp_path)
    said(process, moment)
    assert within(10, lambda: left_of(run_id) != [])
    process.send_signal(number)
    process.communicate()
    assert within(30, lambda: left_of(run_id) == [])
    time.sleep(2)  # what the daemon was still creating is caught as well
    assert left_of(run_id) == []
    assert "ended without cleaning up" in (tmp_path / "logs" / "reaper.log").read_text()


def test_what_is_kept_on_purpose_stays_until_it_is_taken_down(
    tmp_path: Path, api: docker.DockerClient
) -> None:
    """`lab up` ends, its containers go on, and no later run mistakes them for leftovers."""
    run_id = secrets.token_hex(4)
    process = orchestrate(run_id, tmp_path, "keep")
    said(process, "is up")
    entry = said(process, "entry=")
    process.communicate(timeout=60)
    try:
        assert httpx.get(f"{entry}/healthz", timeout=10).text == "ok"
        assert process.returncode == 0
        (left,) = leftovers(api, run_id)
        assert left.kept
        assert not left.alive
        clean(api)
        running = api.api.containers(filters={"label": f"lab.run={run_id}"})
        names = {name for container in running for name in container["Names"]}
        assert any("app-1" in name for name in names)
        assert any("lab-toxiproxy" in name for name in names)
    finally:
        assert clean(api, run_id) == []
    assert left_of(run_id) == []


async def test_a_cancelled_run_is_taken_down(tmp_path: Path) -> None:
    """As after Ctrl-C: the context ends, whatever was being done."""
    started = asyncio.Event()
    ids = []

    async def run() -> None:
        async with up(tiny.deployment(), tmp_path) as found:
            ids.append(found.cluster.layout.run_id)
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_of(ids[0]) == []


async def test_a_run_cancelled_half_way_up_leaves_nothing(tmp_path: Path) -> None:
    """What the daemon is creating at that moment is waited for, and removed."""
    slow = tiny.server("store", command=("python", "-c", "import time; time.sleep(600)"))
    task = asyncio.create_task(_bring_up(slow, tmp_path))
    await asyncio.sleep(1.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [left for left in _own_leftovers() if left]


async def _bring_up(store: object, out: Path) -> None:
    async with up(tiny.deployment(store=store), out):  # type: ignore[arg-type]
        raise AssertionError("it never gets ready")


def _own_leftovers() -> list[str]:
    api = client()
    try:
        owner = labels_of("x", kept=False)["lab.owner"]
        found = api.api.containers(all=True, filters={"label": f"lab.owner={owner}"})
        return [name for container in found for name in container["Names"]]
    finally:
        api.close()


def test_the_reaper_ignores_the_signals_of_the_terminal(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of a terminal; this one has to outlive the orchestrator."""
    reaper = Reaper(secrets.token_hex(4), tmp_path / "reaper.log")
    assert os.getsid(reaper.pid) != os.getsid(0)
    assert within(10, lambda: _ignores(reaper.pid, signal.SIGTERM))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(reaper.pid, number)
    assert reaper._process.poll() is None
    reaper.dismiss()
    assert reaper._process.returncode == 0


def _ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(mask.split()[1], 16) & 1 << (number - 1))


def test_only_what_nobody_answers_for_is_a_leftover(api: docker.DockerClient) -> None:
    """The run of this process stays; that of a process which is gone goes."""
    mine, gone = secrets.token_hex(4), secrets.token_hex(4)
    labels = labels_of(mine, kept=False)
    volumes = [api.api.create_volume(labels=labels)["Name"]]
    dead = {**labels, "lab.run": gone, "lab.owner": f"{os.getpid()}.1"}  # the id was given anew
    volumes.append(api.api.create_volume(labels=dead)["Name"])
    try:
        by_run = {left.run_id: left for left in leftovers(api)}
        assert by_run[mine].alive
        assert not by_run[gone].alive
        assert clean(api) == []
        assert left_of(mine) == volumes[:1]
        assert left_of(gone) == []
    finally:
        clean(api, mine)
