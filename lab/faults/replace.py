"""`replace`: an instance goes, and a new one comes in its place: another version, another address.

        old:  ──── SIGTERM, grace ────┤
        new:        (created)         ├── started ── ready ─▶ its links accept again

Volumes go along; what else the old one had written into its own files is gone. Links always lead to
the new one, as a load balancer does. With a new address, those that reach it without a link keep
the old one, as clients do that looked a name up once; Docker's own resolver tells the new one.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import ConfigDict, Field, PrivateAttr

from lab.engines import Cluster, Life, Replaceable, Version
from lab.faults.base import Observation
from lab.faults.versions import Replacing
from lab.plan import Instance
from lab.units import Seconds


class Replace(Replacing):
    """A service is replaced by a new version of it: environment, image or address are others."""

    kind: ClassVar[str] = "replace"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"service": "app-1", "env": {"VERSION": "2"}}]}
    )
    needs: ClassVar[tuple[type, ...]] = (Replaceable,)

    new_address: bool = Field(
        default=False, description="at an address that nothing of the run ever had (docker)"
    )
    grace: Seconds = Field(
        default=2.0, description="how long the old one may take to end before it is killed"
    )
    back: bool = Field(
        default=True, description="put the topology's version back when the fault ends"
    )
    _earlier: dict[str, Life] = PrivateAttr(default_factory=dict)
    """Whom it replaced, by instance, from injecting to healing."""

    @property
    def permanent(self) -> bool:
        """Without going back it stays."""
        return not self.back

    @property
    def version(self) -> Version:
        """The new one."""
        return Version(self.env, self.image, self.new_address)

    def describe(self) -> str:
        """`replacement of app-1 by VERSION=2, at a new address`."""
        where = ", at a new address" if self.new_address else ""
        return f"replacement of {self.service}{self.words()}{where}"

    async def inject(self, cluster: Cluster) -> None:
        """Replace; over when every new one is ready. What was replaced is left."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._earlier]
        await asyncio.gather(*(self._replace(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Replace them by the topology's version, at their first address."""
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        if not self.back:
            return
        replaced = [i for i in self.instances(cluster.deployment) if i.name in self._earlier]
        await asyncio.gather(*(cluster.replace(i, Version(), self.grace) for i in replaced))
        self._earlier.clear()

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when another life runs, with the new environment, image and address.

        As engine and kernel tell them. Gone when all run and none of it is left.
        """
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        lives = await asyncio.gather(*(cluster.life(i) for i in instances))
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        runs = [state.status == "running" for state in states]
        new = [self._has_come(i, life) for i, life in zip(instances, lives, strict=True)]
        count = f"{sum(new)} of {len(new)} replaced"
        where = sorted({life.address for life in lives}) if self.new_address else []
        return Observation(
            in_effect=bool(new) and all(new) and all(runs),
            gone=bool(new) and not any(new) and not self._earlier and all(runs),
            text=", ".join([count, *where, *sorted({s.status for s in states} - {"running"})]),
        )

    async def _replace(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        self._earlier[instance.name] = await cluster.life(instance)
        await cluster.replace(instance, self.version, self.grace)

    def _has_come(self, instance: Instance, life: Life) -> bool:
        earlier = self._earlier.get(instance.name)
        moved = earlier is not None and life.address != earlier.address
        return self.is_new(life, earlier) and (moved or not self.new_address)
