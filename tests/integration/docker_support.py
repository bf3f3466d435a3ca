"""What the tests of the Docker engine share: whether there is one, and a cluster that is up."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker
import pytest

from lab.engines import Wanted
from lab.engines.docker import DockerEngine
from lab.engines.docker.daemon import connect
from lab.errors import EngineError
from lab.plan import Deployment
from tests.contract.engines import Tiny


def client() -> docker.DockerClient:
    """A client; without Docker the test is skipped, but in CI it fails."""
    try:
        return connect()
    except EngineError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@asynccontextmanager
async def up(
    deployment: Deployment, out: Path, *, drivers: bool = False, patience_s: float = 20.0
) -> AsyncIterator[Tiny]:
    """A deployment that is up, with a run id of its own."""
    client().close()
    wanted = Wanted(secrets.token_hex(4), out, drivers=drivers)
    async with DockerEngine(patience_s).up(deployment, wanted, print) as cluster:
        yield Tiny(cluster)


def left_of(run_id: str) -> list[str]:
    """Names of everything in Docker that carries the label of a run."""
    api = connect()
    try:
        wanted = {"label": f"lab.run={run_id}"}
        names = [name for c in api.api.containers(all=True, filters=wanted) for name in c["Names"]]
        names += [network["Name"] for network in api.api.networks(filters=wanted)]
        return names + [v["Name"] for v in api.api.volumes(filters=wanted)["Volumes"] or []]
    finally:
        api.close()
