"""`long_transaction`: somebody begins a transaction in PostgreSQL and goes to lunch.

It stays *idle in transaction*, with the locks it took, its place in every snapshot and the row
versions that VACUUM may not remove. Healing ends its session, and the server rolls it back.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import ClassVar

from pydantic import ConfigDict, Field, PrivateAttr

from lab.engines import Cluster, Executable, Session
from lab.faults.base import LOOK_S, Observation, ServiceFault
from lab.faults.commands import Ready, in_a_line
from lab.faults.psql import ask, connect, written
from lab.plan import Instance
from lab.units import format_duration

_WITHIN_S = 5.0
_LOOK = """
select state, round(extract(epoch from clock_timestamp() - xact_start), 3),
    coalesce(wait_event_type, '')
from pg_stat_activity where application_name = '{name}' and xact_start is not null"""
_END = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{name}'"


class LongTransaction(ServiceFault):
    """A transaction in PostgreSQL is begun, does its statements, and is left open until healed."""

    kind: ClassVar[str] = "long_transaction"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"service": "db", "run": "lock table links in exclusive mode"}]
        }
    )
    needs: ClassVar[tuple[type, ...]] = (Executable,)

    run: str = Field(
        default="select pg_current_xact_id()",
        min_length=1,
        description="what it does once it has begun; the default takes an id, and no lock",
        examples=["lock table links in access exclusive mode"],
    )
    database: str | None = Field(
        default=None, description="where (default: the image's POSTGRES_DB)"
    )
    _name: str = PrivateAttr(default_factory=lambda: f"lab-{secrets.token_hex(4)}")
    _ready: Ready = PrivateAttr(default_factory=Ready)
    _open: dict[str, Session] = PrivateAttr(default_factory=dict)

    @property
    def look_s(self) -> float:
        """A look is a session of its own; and this one is opened before its time."""
        return 2 * LOOK_S

    def describe(self) -> str:
        """`transaction left open in db: lock table links`."""
        return f"transaction left open in {self.service}: {in_a_line(self.run)}"

    async def get_ready(self, cluster: Cluster) -> None:
        """Connect."""
        for instance in self.instances(cluster.deployment):
            self._ready.keep(instance, await self._connect(cluster, instance))

    async def release(self) -> None:
        """Close what was opened and not used."""
        await self._ready.close()

    async def inject(self, cluster: Cluster) -> None:
        """Begin, and leave it open."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._open]
        await asyncio.gather(*(self._begin(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """End its session, also one that waits for a lock; the server rolls it back."""
        held = [i for i in self.instances(cluster.deployment) if i.name in self._open]
        await asyncio.gather(*(self._end(cluster, i) for i in held))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when every server says that it is idle in transaction; gone when none has it.

        One that waits for a lock is neither.
        """
        query = _LOOK.format(name=self._name)
        instances = self.instances(cluster.deployment)
        answers = await asyncio.gather(*(ask(cluster, i, query, _WITHIN_S) for i in instances))
        return Observation(
            in_effect=bool(answers) and all(a.startswith("idle in transaction|") for a in answers),
            gone=bool(answers) and not any(answers),
            text=", ".join(sorted({_words(answer) for answer in answers})),
        )

    async def _connect(self, cluster: Cluster, instance: Instance) -> Session:
        return await connect(cluster, instance, self.database, self._name)

    async def _begin(self, cluster: Cluster, instance: Instance) -> None:
        statements = f"begin;\n{written(self.run)}"
        session = await self._ready.take(instance, statements)
        if session is None:
            session = await self._connect(cluster, instance)
            await session.write(statements)
        self._open[instance.name] = session

    async def _end(self, cluster: Cluster, instance: Instance) -> None:
        try:
            await ask(cluster, instance, _END.format(name=self._name), _WITHIN_S)
        finally:
            await self._open.pop(instance.name).close()


def _words(answer: str) -> str:
    """`idle in transaction for 812 ms`."""
    if not answer:
        return "no such transaction"
    state, age_s, waits = answer.splitlines()[0].split("|")
    waiting = ", waiting for a lock" if waits == "Lock" else ""
    return f"{state} for {format_duration(float(age_s))}{waiting}"
