"""The connection to Docker: where its daemon is, and calling it without blocking the event loop."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, ParamSpec, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException
from docker.utils import version_lt

from lab.errors import EngineError

OLDEST_API = "1.41"  # Docker Engine 20.10
_ANSWER_S = 60  # creating a container on a busy machine takes seconds
_WORKERS = 32

P = ParamSpec("P")
T = TypeVar("T")


def connect() -> docker.DockerClient:
    """A client of the daemon that `docker` on the command line would talk to.

    DOCKER_HOST, DOCKER_CONTEXT and the current context count, as they do for the command.

    Raises:
        EngineError: nothing answers there, this user may not talk to it, or it is too old.
    """
    ssh = os.environ.get("DOCKER_HOST", "").startswith("ssh://")
    try:
        _knock()
        client = docker.from_env(timeout=_ANSWER_S, max_pool_size=_WORKERS, use_ssh_client=ssh)
        info = client.version()
    except (DockerException, requests.RequestException, OSError, ValueError) as error:
        raise _unreachable(error) from error
    if info.get("Os", "linux") != "linux":
        raise EngineError(
            "this Docker daemon runs Windows containers",
            remedy="switch Docker Desktop to Linux containers",
        )
    if version_lt(info["ApiVersion"], OLDEST_API):
        raise EngineError(
            f"Docker Engine {info['Version']} is too old",
            remedy="install Docker Engine 20.10 or later",
        )
    return client


def _knock() -> None:
    """Try the daemon's Unix socket: the library never closes one that does not answer.

    Raises:
        OSError: nobody is there, or not for this user.
    """
    address = where().partition(" ")[0]
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(address.removeprefix("unix://"))


def where() -> str:
    """Where the daemon is expected, in words for messages."""
    if host := os.environ.get("DOCKER_HOST"):
        return f"{host} (DOCKER_HOST)"
    found = docker.ContextAPI.kwargs_from_context().get("base_url", "unix:///var/run/docker.sock")
    return str(found).replace("http+unix://", "unix://")


def _unreachable(error: Exception) -> EngineError:
    """Say why no daemon answers, and the one command that mends it."""
    words = str(error)
    if "Permission denied" in words or "PermissionError" in words:
        return EngineError(
            f"this user may not talk to Docker at {where()}",
            remedy='sudo usermod -aG docker "$USER" && newgrp docker',
        )
    if "DOCKER_HOST" in where():
        return EngineError(
            f"no Docker daemon answers at {where()}", remedy="correct it, or `unset DOCKER_HOST`"
        )
    return EngineError(f"no Docker daemon answers at {where()}", remedy=_how_to_start())


def _how_to_start() -> str:
    if platform.system() == "Darwin":
        return "open -a Docker (or install it: https://docs.docker.com/desktop/)"
    if not shutil.which("dockerd") and not shutil.which("docker"):
        return "install Docker Engine: https://docs.docker.com/engine/install/"
    if os.path.isdir("/run/systemd/system"):  # noqa: PTH112 - how systemd itself says to test
        return "sudo systemctl start docker"
    return "sudo service docker start"


def in_words(error: Exception) -> str:
    """What the daemon said, without the URL and status around it."""
    explanation = getattr(error, "explanation", None)
    return str(explanation or error).strip()


class Daemon:
    """Calls of the blocking client, each in a thread of the pool; errors become EngineError."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.api = client.api
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="docker")
        self._running: set[Future[Any]] = set()

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a blocking function, most often a method of `api`.

        Raises:
            EngineError: the daemon refused, or does not answer any more.
        """
        future = self._pool.submit(function, *args, **kwargs)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        try:
            return await asyncio.wrap_future(future)
        except APIError as error:
            raise EngineError(f"Docker refused: {in_words(error)}") from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise EngineError(
                f"Docker does not answer any more: {in_words(error)}", remedy=_how_to_start()
            ) from error

    async def settle(self, timeout_s: float = 10.0) -> None:
        """Wait for calls that were given up but still run: they may be creating something."""
        await asyncio.to_thread(wait, list(self._running), timeout_s)

    def close(self) -> None:
        """Let go of threads and connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.client.close()
