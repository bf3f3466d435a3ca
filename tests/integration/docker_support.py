"""What the tests of the Docker engine share: whether there is one, and a cluster that is up."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from lab.engines import Wanted
from lab.engines.docker import DockerEngine
from lab.engines.docker.cluster import DockerCluster
from lab.engines.docker.daemon import connect
from lab.errors import EngineError
from lab.plan import Deployment, Instance, LinkEnd


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


class Tiny:
    """The tiny cluster and what its app sees."""

    def __init__(self, cluster: DockerCluster) -> None:
        self.cluster = cluster
        self.app = cluster.deployment.instance("tiny/app-1")
        self.store = cluster.deployment.instance("tiny/store-1")

    def end(self, server: str) -> LinkEnd:
        """The link end from the app to a server."""
        (end,) = self.cluster.deployment.ends_of(f"app -> {server}")
        return end

    async def ask(self, path: str) -> Any:
        """What the app answers, past every link."""
        status, body = await self.cluster.http(self.app, "GET", path)
        assert status == 200, body
        return json.loads(body)

    def container(self, instance: Instance) -> str:
        """The id of an instance's container."""
        return self.cluster._handles.containers[instance.name]

    async def straight(self, instance: Instance, path: str) -> Any:
        """An answer of a server at its real address, past its link."""
        return await self.order(
            "http",
            address=str(self.cluster.layout.containers[instance.name]),
            port=9000,
            method="GET",
            path=path,
            body=None,
            timeout_s=5.0,
        )

    async def order(self, do: str, **arguments: Any) -> Any:
        """An order to the network agent itself."""
        return await self.cluster._agent.order(do, **arguments)


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
