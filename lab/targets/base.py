"""What can tell who is who: one system, such as PostgreSQL, and the roles that it gives.

It answers for the instances of one design, from what they say themselves in this moment, past
every fault. It does not judge: two leaders are two, and whoever does not answer is nobody.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from lab.engines import Cluster, Scrapable
from lab.errors import EngineError
from lab.plan import Instance
from lab.topology import Service

ANSWER_S = 0.5
"""How long an instance may take to say what it is; far above any healthy answer here."""

Roles = Mapping[str, Sequence[Instance]]
"""Who has a role, by its word; a role that nobody has may be left out."""


class Resolver(ABC):
    """One kind of system; `roles` are the words for what its instances can be."""

    roles: ClassVar[tuple[str, ...]]
    single: ClassVar[tuple[str, ...]]
    """The roles of which there is one at most, when all is well."""
    what: ClassVar[str]
    """Which services are of its kind, for people: `PostgreSQL with `metrics: {…: postgres}``."""

    @abstractmethod
    def knows(self, service: Service) -> bool:
        """Whether instances of this service may be of its kind; asked without any of them."""

    @abstractmethod
    async def find(self, cluster: Cluster, instances: Sequence[Instance]) -> Roles:
        """Who of these is what now; they belong to one design and are running."""


async def scraped(cluster: Cluster, instance: Instance) -> list[Sample]:
    """What an instance tells now; nothing when it does not answer in time."""
    assert isinstance(cluster, Scrapable)  # noqa: S101 - both engines are
    try:
        text = await cluster.scrape(instance, ANSWER_S)
    except EngineError:
        return []
    return [s for family in text_string_to_metric_families(text) for s in family.samples]


async def scraped_all(
    cluster: Cluster, instances: Sequence[Instance]
) -> list[tuple[Instance, list[Sample]]]:
    """What each of them tells now, asked side by side."""
    told = await asyncio.gather(*(scraped(cluster, instance) for instance in instances))
    return list(zip(instances, told, strict=True))
