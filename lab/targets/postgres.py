"""PostgreSQL: its `primary` and `replica`s, by `pg_is_in_recovery()`.

Asked through the exporter that `x-lab.metrics: {db: postgres}` brings: it runs the function anew
for each question, as `pg_replication_is_replica`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from lab.engines import Cluster
from lab.plan import Instance
from lab.targets.base import Resolver, Roles, scraped_all
from lab.topology import Service

_METRIC = "pg_replication_is_replica"


class Postgres(Resolver):
    """PostgreSQL servers that replicate to each other."""

    roles: ClassVar[tuple[str, ...]] = ("primary", "replica")
    single: ClassVar[tuple[str, ...]] = ("primary",)
    what: ClassVar[str] = "PostgreSQL with `metrics: {db: postgres}`"

    def knows(self, service: Service) -> bool:
        """Its exporter says so."""
        return service.scrape is not None and service.scrape.exporter == "postgres"

    async def find(self, cluster: Cluster, instances: Sequence[Instance]) -> Roles:
        """Who is in recovery is a replica; who answers and is not is a primary."""
        found: dict[str, list[Instance]] = {role: [] for role in self.roles}
        for instance, samples in await scraped_all(cluster, instances):
            for sample in samples:
                if sample.name == _METRIC:
                    found["replica" if sample.value else "primary"].append(instance)
        return found
