"""Makes selections: asks who is who, draws from the run's seed, each design on its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lab.clock import derived_rng
from lab.engines import Cluster
from lab.errors import InjectionError
from lab.plan import Instance
from lab.selection import Found, Selection, parse_selection
from lab.targets.base import Resolver

_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """How the selections of one fault are made.

    `name` is the fault's: another fault draws anew, the same words in one fault mean the same.
    """

    seed: int
    name: str
    resolvers: tuple[Resolver, ...]

    async def make(
        self, cluster: Cluster, texts: Collection[str], patience_s: float = 0.0
    ) -> Found:
        """Whom these texts mean now, asked side by side, and again until there is an answer.

        Raises:
            InjectionError: nobody is that, or more than one where there can be one only.
        """
        until_s = time.monotonic() + patience_s
        while True:
            try:
                return await self._now(cluster, texts)
            except InjectionError:
                if time.monotonic() >= until_s:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def _now(self, cluster: Cluster, texts: Collection[str]) -> Found:
        made = await asyncio.gather(*(self._one(cluster, text) for text in texts))
        return dict(zip(texts, made, strict=True))

    async def _one(self, cluster: Cluster, text: str) -> frozenset[str]:
        selection = parse_selection(text)
        candidates = cluster.deployment.instances_of(text)
        designs = dict.fromkeys(instance.design for instance in candidates)
        chosen = await asyncio.gather(
            *(
                self._in_design(cluster, text, selection, [i for i in candidates if i.design == d])
                for d in designs
            )
        )
        return frozenset(instance.name for group in chosen for instance in group)

    async def _in_design(
        self, cluster: Cluster, text: str, selection: Selection | None, instances: list[Instance]
    ) -> Sequence[Instance]:
        if selection is None:
            return instances
        place = f" in {instances[0].design}" if instances[0].design else ""
        found: Sequence[Instance] = instances
        if selection.role:
            found = await self._with_role(cluster, text, selection, instances, place)
        size = selection.size(len(found))
        if not 0 < size <= len(found):
            raise InjectionError(f"{text}: there are {len(found)} of them{place}")
        return sorted(found, key=self._rank)[:size] if selection.count else found

    def _rank(self, instance: Instance) -> float:
        """The same in every design, however many replicas there are."""
        return derived_rng(self.seed, "target", self.name, instance.host).random()

    async def _with_role(
        self,
        cluster: Cluster,
        text: str,
        selection: Selection,
        instances: list[Instance],
        place: str,
    ) -> Sequence[Instance]:
        running = await _running(cluster, instances)
        role = selection.role
        found: list[Instance] = []
        single = False
        for resolver in self.resolvers:
            if role not in resolver.roles:
                continue
            known = [i for i in running if resolver.knows(i.service)]
            found += (await resolver.find(cluster, known)).get(role, ()) if known else ()
            single = single or role in resolver.single
        if not found:
            asked = f"{len(running)} of {len(instances)} instances run" if running else "none runs"
            raise InjectionError(f"{text}: nobody says that it is {role}{place} ({asked})")
        if single and len(found) > 1:
            hosts = ", ".join(instance.host for instance in found)
            raise InjectionError(f"{text}: more than one says that it is {role}{place}: {hosts}")
        return found


async def _running(cluster: Cluster, instances: Sequence[Instance]) -> list[Instance]:
    """Those that can answer: a frozen or dead one would only be waited for."""
    states = await asyncio.gather(*(cluster.state(instance) for instance in instances))
    return [i for i, state in zip(instances, states, strict=True) if state.status == "running"]
