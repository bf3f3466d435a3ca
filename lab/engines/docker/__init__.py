"""The Docker engine: services are containers, links run through Toxiproxy, Prometheus looks on.

    DockerEngine.up -> up.py      order of the bring-up, down.py the way back
    layout, containers, parts     pure: names, addresses, what each container is
    network, start, health        making it so
    channel, hands, agent         orders to the network agent beside the proxy
    cluster                       what a run asks of it
    owner, clean, reaper          labels, and removing what is left
    images, build, …              where images come from

Nothing is imported here before it is needed, so that the reaper, which waits through every run,
stays small.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.engines import Say, Wanted
    from lab.engines.docker.cluster import DockerCluster
    from lab.plan import Deployment

PATIENCE_S = 20.0
"""Least time that an instance gets to become ready: machines differ in speed."""


class DockerEngine:
    """`lab.engines.Engine` on a Docker Engine (20.10 or later)."""

    name = "docker"

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s

    def up(
        self, deployment: Deployment, wanted: Wanted, say: Say
    ) -> AbstractAsyncContextManager[DockerCluster]:
        """Bring everything up, wait until healthy, yield the cluster; take it down on any exit.

        Raises:
            EngineError: no Docker, an image that cannot be had, or a container that does not start.
        """
        from lab.engines.docker.up import bring_up

        return bring_up(deployment, wanted, say, self._patience_s)
