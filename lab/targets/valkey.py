"""Valkey and Redis: the `master` (or `primary`) and its `replica`s, by the role in `INFO`.

Asked through the exporter that `x-lab.metrics: {cache: redis}` brings, which asks anew each time:
`redis_instance_info{role="master"}`; the server's own words are still `master` and `slave`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lab.engines import Cluster
from lab.plan import Instance
from lab.targets.base import Resolver, Roles, scraped_all
from lab.topology import Service

_METRIC = "redis_instance_info"


class Valkey(Resolver):
    """Servers of which some copy another one."""

    roles: ClassVar[tuple[str, ...]] = ("master", "primary", "replica")
    single: ClassVar[tuple[str, ...]] = ("master", "primary")
    what: ClassVar[str] = "Valkey or Redis with `metrics: {cache: redis}`"

    def knows(self, service: Service) -> bool:
        """Its exporter says so."""
        return service.scrape is not None and service.scrape.exporter == "redis"

    async def find(self, cluster: Cluster, instances: Sequence[Instance]) -> Roles:
        """By what each says of itself, whatever the others or a Sentinel think of it."""
        masters, replicas = [], []
        for instance, samples in await scraped_all(cluster, instances):
            said = {s.labels.get("role") for s in samples if s.name == _METRIC}
            if "master" in said:
                masters.append(instance)
            elif "slave" in said:
                replicas.append(instance)
        return {"master": masters, "primary": masters, "replica": replicas}
