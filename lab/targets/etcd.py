"""etcd: its `leader` and `follower`s, asked by the JSON gateway on its client port.

`POST /v3/maintenance/status` says which member answers, whom it takes for the leader, and in which
term (etcd documentation, "gRPC gateway"). A leader that is cut off goes on believing in itself for
a while, in an older term: the newest term counts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from lab.engines import Cluster
from lab.errors import EngineError
from lab.plan import Instance
from lab.targets.base import ANSWER_S, Resolver, Roles
from lab.topology import Service


class Etcd(Resolver):
    """Members of an etcd cluster; `x-lab.metrics` names their client port (2379)."""

    roles: ClassVar[tuple[str, ...]] = ("leader", "follower")
    single: ClassVar[tuple[str, ...]] = ("leader",)
    what: ClassVar[str] = "etcd with its client port under `metrics`"

    def knows(self, service: Service) -> bool:
        """Speaks HTTP for itself, and `etcd` stands in its name, image, build or command."""
        written = " ".join((service.name, service.what, *(service.command or ())))
        speaks = service.scrape is not None and service.scrape.exporter is None
        return speaks and "etcd" in written.lower()

    async def find(self, cluster: Cluster, instances: Sequence[Instance]) -> Roles:
        """The leader of the newest term, and everybody else who answers."""
        told = await asyncio.gather(*(_status(cluster, instance) for instance in instances))
        answers = [(one, said) for one, said in zip(instances, told, strict=True) if said]
        newest = max((_term(said) for _, said in answers), default=0)
        leaders = [one for one, said in answers if _term(said) == newest and _leads(said)]
        return {
            "leader": leaders,
            "follower": [one for one, _ in answers if one not in leaders],
        }


async def _status(cluster: Cluster, instance: Instance) -> Mapping[str, object]:
    """What a member says of itself; nothing when it does not answer, or is no etcd."""
    try:
        async with asyncio.timeout(ANSWER_S):
            code, text = await cluster.http(instance, "POST", "/v3/maintenance/status", "{}")
        answer = json.loads(text)
    except (EngineError, TimeoutError, ValueError):
        return {}
    return answer if code == 200 and isinstance(answer, dict) and "header" in answer else {}


def _term(said: Mapping[str, object]) -> int:
    return int(str(said.get("raftTerm", 0)))


def _leads(said: Mapping[str, object]) -> bool:
    """Whether it is the member that it takes for the leader; 0 is nobody."""
    header = said["header"]
    member = header.get("member_id") if isinstance(header, dict) else None
    return member is not None and said.get("leader") == member
