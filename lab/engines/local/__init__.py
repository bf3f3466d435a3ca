"""The local engine: services are processes of this machine; no Docker, no root.

    LocalEngine.up -> up.py     order of the bring-up, down.py the way back
    layout, program             pure: addresses, what each process is
    recipes, shim               from a Compose service to a program that runs here
    supervisor, tree            parent of every process, outlives the orchestrator to clean up
    collector                   metrics without a Prometheus server
    cluster, watch, health      what a run asks of it
    leftovers                   finding and removing what is left

Links run through `lab.proxies.embedded`, which speaks Toxiproxy's API.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.engines import Say, Wanted
    from lab.engines.local.cluster import LocalCluster
    from lab.engines.local.layout import Mode
    from lab.plan import Deployment

PATIENCE_S = 20.0
"""Least time that an instance gets to become ready: machines differ in speed."""


class LocalEngine:
    """`lab.engines.Engine` on this machine.

    Args:
        mode: `addresses` gives every instance a loopback address of its own, `ports` a port of
            127.0.0.1; None is what this system can do.
        patience_s: least time that an instance gets to become ready.
    """

    name = "local"

    def __init__(self, mode: Mode | None = None, patience_s: float = PATIENCE_S) -> None:
        self._mode = mode
        self._patience_s = patience_s

    def up(
        self, deployment: Deployment, wanted: Wanted, say: Say
    ) -> AbstractAsyncContextManager[LocalCluster]:
        """Bring everything up, wait until ready, yield the cluster; take it down on any exit.

        Raises:
            EngineError: a service has no recipe here, or a process does not start.
        """
        from lab.engines.local.layout import mode_here
        from lab.engines.local.up import bring_up

        return bring_up(deployment, wanted, say, self._mode or mode_here(), self._patience_s)
