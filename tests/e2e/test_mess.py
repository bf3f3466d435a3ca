"""The lab never leaves a mess, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.e2e.support import (
    FILES,
    QUICK,
    lab,
    left_by,
    run_id_in,
    start_lab,
    wait_until,
    with_label,
)

ENGINES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("local", marks=pytest.mark.local),
]
DOCKER_SOCKET = "/var/run/docker.sock"


@pytest.fixture(params=ENGINES)
def engine(request):
    """Each engine in turn."""
    return request.param


@pytest.fixture
def in_fault(tmp_path, engine):
    """A run in the middle of its fault: the process, its log and its folder of runs."""
    log, runs = tmp_path / "log", tmp_path / "runs"
    process = start_lab("run", str(QUICK), "--runs", str(runs), "--engine", engine, log=log)
    wait_until(lambda: "bit: round trip" in log.read_text(), 120, "the fault biting")
    yield process, log, runs
    if process.poll() is None:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_once_it_heals_reports_and_leaves_nothing(in_fault, engine, number):
    """Ctrl-C and SIGTERM end with exit code 130, a report, and an engine with nothing on it."""
    process, log, runs = in_fault
    process.send_signal(number)
    assert process.wait(60) == 130, log.read_text()
    result = json.loads((runs / "quick" / "latest" / "result.json").read_text())
    assert result["verdict"] == "unknown"
    assert [fault["healed"] for fault in result["faults"]] == [True]
    assert (runs / "quick" / "latest" / "report.html").exists()
    assert left_by(engine, run_id_in(runs)) == []


def test_killed_outright_another_process_clears_up(in_fault, engine):
    """SIGKILL leaves no time for anything; another process removes what is left."""
    process, _, runs = in_fault
    run_id = run_id_in(runs)
    assert left_by(engine, run_id)
    process.kill()
    process.wait()
    wait_until(lambda: not left_by(engine, run_id), 30, "clearing up")


def test_interrupted_twice_it_says_what_is_left(in_fault, engine):
    """The second Ctrl-C leaves at once and names the commands that show and clear the rest."""
    process, log, runs = in_fault
    run_id = run_id_in(runs)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: process.poll() is not None, 30, "leaving")
    if process.returncode != 130:  # the first one may have been quicker
        assert process.returncode == 5, log.read_text()
        assert f"lab clean --run {run_id}" in log.read_text()
    wait_until(lambda: not left_by(engine, run_id), 30, "clearing up")


def test_a_service_that_does_not_start_is_named_and_all_is_removed(tmp_path, engine):
    """Exit code 4, the service's own words, nothing left."""
    runs = tmp_path / "runs"
    broken = str(FILES / "broken-start.yaml")
    finished = lab("run", broken, "--runs", str(runs), "--engine", engine)
    assert finished.returncode == 4, finished.stderr
    assert "broken-1" in finished.stderr
    assert "No module named nonsense" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert left_by(engine, run_id_in(runs)) == []


def test_a_full_disk_for_runs_is_said_and_all_is_removed(tmp_path, engine):
    """The run cannot be written: exit code 4 and the place, not a traceback."""
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("mounting a small disk needs root")
        pytest.skip("mounting a small disk needs root")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "lab-test", str(small)], check=True)
    try:
        finished = lab("run", str(QUICK), "--runs", str(small), "--engine", engine)
        assert finished.returncode == 4, finished.stderr
        assert "No space left on device" in finished.stderr
        assert "Traceback" not in finished.stderr
        assert left_by(engine, run_id_in(small)) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


class Gate:
    """A socket in front of Docker's that can be shut: Docker going away, as the lab sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        self.serve()

    def serve(self) -> None:
        """Let connections through."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Cut what is open, refuse what comes."""
        self.path.unlink()
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(DOCKER_SOCKET)
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.mark.docker
def test_docker_going_away_is_said_and_cleared_up_when_it_is_back(tmp_path):
    """Mid-run the daemon vanishes: one message, exit code 4 or 5; once back, nothing stays."""
    gate = Gate(tmp_path / "docker.sock")
    log, runs = tmp_path / "log", tmp_path / "runs"
    host = f"unix://{gate.path}"
    process = start_lab("run", str(QUICK), "--runs", str(runs), log=log, DOCKER_HOST=host)
    try:
        wait_until(lambda: "bit: round trip" in log.read_text(), 120, "the fault biting")
        run_id = run_id_in(runs)
        gate.shut()
        assert process.wait(90) in (4, 5), log.read_text()
        assert "Traceback" not in log.read_text()
        assert "Docker" in log.read_text()
        gate.serve()
        wait_until(lambda: not with_label(run_id), 60, "the reaper clearing up")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_a_kept_topology_serves_until_it_is_taken_down(engine):
    """`lab up` returns with addresses that work, and `lab down` leaves nothing of it."""
    up = lab("up", "shop", "--engine", engine)
    assert up.returncode == 0, up.stdout + up.stderr
    (run_id,) = re.findall(r"lab down --run (\w+)", up.stdout)
    try:
        (entry,) = re.findall(r"^entry +(\S+)$", up.stdout, flags=re.MULTILINE)
        assert httpx.get(f"{entry}/browse/1", trust_env=False).text == "a page\n"
        assert httpx.post(f"{entry}/buy/1", trust_env=False).status_code == 200
        assert left_by(engine, run_id)
    finally:
        down = lab("down", "--run", run_id)
    assert down.returncode == 0, down.stdout + down.stderr
    assert left_by(engine, run_id) == []
