"""Docker that is not there, and Docker that goes away in the middle of a run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engines import Wanted
from lab.engines.docker import DockerEngine
from lab.engines.docker.daemon import connect
from lab.errors import EngineError, ExitCode
from tests.contract import tiny
from tests.integration.docker_support import client, left_of

pytestmark = [
    pytest.mark.docker,
    # The Docker SDK leaves a socket to the garbage collector when it cannot connect.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

REAL = "/var/run/docker.sock"


@pytest.fixture(autouse=True)
def _its_sockets_are_its_own() -> Iterator[None]:
    """Collected here, where their warning is expected, and not in the middle of another test."""
    yield
    gc.collect()


class Door:
    """A socket in front of the daemon's own; shutting it is Docker going away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Let connections through."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """End every connection and accept no more."""
        assert self._listener
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(REAL)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Docker behind a door, for this test."""
    client().close()
    if not Path(REAL).is_socket():
        pytest.skip(f"Docker is not at {REAL}")
    found = Door(tmp_path / "docker.sock")
    found.open()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{found.path}")
    yield found
    with contextlib.suppress(OSError):
        found.shut()
    for one in found._open:
        one.close()


def test_no_daemon_is_one_clear_error_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was looked for, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(EngineError, match=r"no Docker daemon answers at unix:///nowhere") as caught:
        connect()
    assert caught.value.remedy == "correct it, or `unset DOCKER_HOST`"
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


async def test_docker_that_goes_away_is_told_and_cleaned_up_after_when_it_is_back(
    tmp_path: Path, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hang, no traceback of a library; the reaper waits for the daemon and removes the rest."""
    run_id = secrets.token_hex(4)
    wanted = Wanted(run_id, tmp_path, drivers=False)
    began_s = 0.0
    with pytest.raises(EngineError, match="not be taken down cleanly") as caught:  # noqa: PT012
        async with DockerEngine().up(tiny.deployment(), wanted, print) as cluster:
            door.shut()
            began_s = time.monotonic()
            with pytest.raises(EngineError, match="Docker does not answer any more"):
                await cluster.state(cluster.deployment.instances[0])
            with pytest.raises(EngineError, match="network agent has ended"):
                await cluster.traffic()
    assert time.monotonic() - began_s < 15
    assert caught.value.remedy == f"lab clean --run {run_id}"
    with monkeypatch.context() as past_the_door:
        past_the_door.delenv("DOCKER_HOST")
        assert left_of(run_id) != []
        door.open()
        async with asyncio.timeout(60):
            while left_of(run_id):  # noqa: ASYNC110 - a process that is not ours does the work
                await asyncio.sleep(0.2)
