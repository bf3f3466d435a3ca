"""`sql`: statements are run in a PostgreSQL server, as its administrator, past every fault."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import ConfigDict, Field, PrivateAttr

from lab.engines import Cluster, Executable
from lab.faults.base import LOOK_S, Observation, ServiceFault
from lab.faults.commands import Ready, in_a_line
from lab.faults.psql import ask, connect, succeeded, written
from lab.plan import Instance
from lab.units import Seconds


class Sql(ServiceFault):
    """Statements are run in PostgreSQL as its superuser; without `undo` their effect stays."""

    kind: ClassVar[str] = "sql"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"service": "db", "run": "alter table links add x text"}]}
    )
    needs: ClassVar[tuple[type, ...]] = (Executable,)

    run: str = Field(
        min_length=1, description="the statements", examples=["alter table links add column x text"]
    )
    undo: str | None = Field(default=None, description="the statements that heal it")
    check: str | None = Field(
        default=None,
        description="a query that returns true while it is in effect, and not before and after",
    )
    database: str | None = Field(
        default=None, description="where (default: the image's POSTGRES_DB)"
    )
    within: Seconds = Field(default=8.0, description="how long the statements may take")
    _ready: Ready = PrivateAttr(default_factory=Ready)
    _begun: set[str] = PrivateAttr(default_factory=set)
    _returned: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def permanent(self) -> bool:
        """Without an undo it stays."""
        return self.undo is None

    @property
    def look_s(self) -> float:
        """A check is a session of its own; and this one is opened before its time."""
        return 2 * LOOK_S

    def describe(self) -> str:
        """`alter table links add column x text in db`."""
        return f"{in_a_line(self.run)} in {self.service}"

    async def get_ready(self, cluster: Cluster) -> None:
        """Connect."""
        for instance in self.instances(cluster.deployment):
            self._ready.keep(instance, await connect(cluster, instance, self.database))

    async def release(self) -> None:
        """Close what was opened and not used."""
        await self._ready.close()

    async def inject(self, cluster: Cluster) -> None:
        """Send the statements, and wait for their end; what has succeeded is not sent again."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._returned]
        await asyncio.gather(*(self._run(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Run `undo` where the statements were begun."""
        if self.undo is None:
            return
        begun = [i for i in self.instances(cluster.deployment) if i.name in self._begun]
        await asyncio.gather(
            *(ask(cluster, i, self.undo, self.within, self.database) for i in begun)
        )
        self._begun.clear()
        self._returned.clear()

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when `check` returns true on every server; without one, when all succeeded."""
        instances = self.instances(cluster.deployment)
        if self.check is None:
            seen = [i.name in self._returned for i in instances]
            found = [self._returned.get(i.name, "not run") for i in instances]
            words = sorted({in_a_line(f) or "done" for f in found})
            return Observation.of(seen, ", ".join(words))
        looks = (ask(cluster, i, self.check, self.within, self.database) for i in instances)
        answers = await asyncio.gather(*looks)
        text = ", ".join(sorted({f"check: {in_a_line(a) or 'no row'}" for a in answers}))
        return Observation.of((answer == "t" for answer in answers), text)

    async def _run(self, cluster: Cluster, instance: Instance) -> None:
        self._begun.add(instance.name)
        session = await self._ready.take(instance, written(self.run))
        if session is None:
            session = await connect(cluster, instance, self.database)
            await session.write(written(self.run))
        ended = await session.ended(self.within)
        self._returned[instance.name] = succeeded(ended, self.run, instance)
