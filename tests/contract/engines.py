"""The engines that the contract suites run on, and a tiny cluster that is up on one of them."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.engines import Cluster, Engine, Wanted
from lab.engines.docker import DockerEngine
from lab.engines.docker.cluster import DockerCluster
from lab.engines.local import LocalEngine
from lab.engines.local.cluster import LocalCluster
from lab.plan import Deployment, Instance, LinkEnd

ENGINES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("local", marks=pytest.mark.local),
]
MODES = [*ENGINES, pytest.param("local-ports", marks=pytest.mark.local)]
"""`local-ports` is the local engine as it runs where 127.0.0.1 is the only address."""

_MAKE: dict[str, Callable[[float], Engine]] = {
    "docker": DockerEngine,
    "local": lambda patience_s: LocalEngine("addresses", patience_s),
    "local-ports": lambda patience_s: LocalEngine("ports", patience_s),
}


@dataclass(frozen=True, slots=True)
class Traits:
    """What is different by nature: what counts as a packet, and which parts there are."""

    packets_per_request: int
    drops_packets: bool
    parts: frozenset[str]
    versions: Mapping[str, str]


_DOCKER = Traits(
    packets_per_request=8,  # handshake, request, answer, end
    drops_packets=True,
    parts=frozenset({"lab/network", "lab/toxiproxy", "lab/prometheus", "lab/agent"}),
    versions={"toxiproxy": "2.12.0", "prometheus": "2.53.3", "docker": "", "kernel": ""},
)
_LOCAL = Traits(
    packets_per_request=2,  # request, answer
    drops_packets=False,
    parts=frozenset({"lab/proxy", "lab/collector", "lab/supervisor"}),
    versions={"proxy": "chaos-lab", "kernel": ""},
)


class Tiny:
    """The tiny cluster and what its app sees."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster: Any = cluster
        self.traits = _DOCKER if isinstance(cluster, DockerCluster) else _LOCAL
        self.app = cluster.deployment.instance("tiny/app-1")
        self.store = cluster.deployment.instance("tiny/store-1")

    def end(self, server: str) -> LinkEnd:
        """The link end from the app to a server."""
        (end,) = self.cluster.deployment.ends_of(f"app -> {server}")
        return end

    def link_address(self, end: LinkEnd) -> str:
        """The address that the client of a link finds."""
        return str(self.cluster.layout.links[end.name])

    def address(self, name: str) -> str:
        """The address of an instance itself."""
        layout = self.cluster.layout
        return str(
            layout.containers[name]
            if isinstance(self.cluster, DockerCluster)
            else layout.instances[name]
        )

    async def ask(self, path: str) -> Any:
        """What the app answers, past every link."""
        status, body = await self.cluster.http(self.app, "GET", path)
        assert status == 200, body
        return json.loads(body)

    async def straight(self, instance: Instance, path: str) -> Any:
        """An answer of a server at its real address, past its link."""
        if isinstance(self.cluster, LocalCluster):
            host, port = self.cluster.layout.real(self.address(instance.name), 9000)
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"http://{host}:{port}{path}")).text
        return await self.order(
            "http",
            address=self.address(instance.name),
            port=9000,
            method="GET",
            path=path,
            body=None,
            timeout_s=5.0,
        )

    async def end_by_itself(self, instance: Instance) -> None:
        """Make a server end with exit code 5, as no fault would."""
        with contextlib.suppress(Exception):  # it cannot answer any more
            await self.straight(instance, "/die")

    async def order(self, do: str, **arguments: Any) -> Any:
        """An order to the network agent of the Docker engine."""
        return await self.cluster._agent.order(do, **arguments)

    def container(self, instance: Instance) -> str:
        """The id of an instance's container."""
        return str(self.cluster._handles.containers[instance.name])


@asynccontextmanager
async def up_on(
    name: str,
    deployment: Deployment,
    out: Path,
    *,
    drivers: bool = False,
    patience_s: float = 20.0,
    run_id: str = "",
) -> AsyncIterator[Cluster]:
    """A deployment that is up on an engine, with a run id of its own."""
    wanted = Wanted(run_id or secrets.token_hex(4), out, drivers=drivers)
    async with _MAKE[name](patience_s).up(deployment, wanted, print) as cluster:
        yield cluster


@asynccontextmanager
async def up(
    name: str, deployment: Deployment, out: Path, *, drivers: bool = False, patience_s: float = 20.0
) -> AsyncIterator[Tiny]:
    """The tiny deployment, up on an engine."""
    async with up_on(name, deployment, out, drivers=drivers, patience_s=patience_s) as cluster:
        yield Tiny(cluster)
