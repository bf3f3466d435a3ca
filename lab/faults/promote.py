"""`promote`: a standby becomes the primary, as in a failover by hand. It stays one.

PostgreSQL: `pg_promote()`, which returns when it takes writes. Valkey and Redis: `REPLICAOF NO
ONE`. What the standby had not received yet is lost; clients must find the new primary themselves.
"""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar, Literal

from pydantic import Field, PrivateAttr

from lab.engines import Cluster, Executable, Session
from lab.errors import EngineError, InjectionError
from lab.faults.base import LOOK_S, Member, Observation, ServiceFault
from lab.faults.commands import Ready, in_a_line, must_succeed, run, waiting
from lab.faults.psql import ask, connect, succeeded
from lab.plan import Instance

_WITHIN_S = 10.0
_PROMOTE = f"select pg_promote(true, {_WITHIN_S:.0f});\n"
_KINDS = re.compile(r"(?:^|/)(postgres|valkey|redis)[\w.-]*(?=[:@]|$)")
_CLI = {"valkey": "valkey-cli", "redis": "redis-cli"}

Server = Literal["postgres", "valkey", "redis"]


class Promote(ServiceFault):
    """A standby of PostgreSQL, Valkey or Redis becomes a primary, and stays one."""

    kind: ClassVar[str] = "promote"
    needs: ClassVar[tuple[type, ...]] = (Executable,)

    service: Member = Field(
        description="the standby; of the topologies that come with the lab, none has one",
        examples=["one replica of db"],
    )
    server: Server | None = Field(
        default=None, description="what it is, where its image's name does not say so"
    )
    _ready: Ready = PrivateAttr(default_factory=Ready)
    _done: set[str] = PrivateAttr(default_factory=set)

    @property
    def permanent(self) -> bool:
        """A primary is not made a standby again: that takes a new copy of all data."""
        return True

    @property
    def look_s(self) -> float:
        """A look asks the server; and a session is opened before its time."""
        return 2 * LOOK_S

    def describe(self) -> str:
        """`promotion of db-2`."""
        return f"promotion of {self.service}"

    async def prepare(self, cluster: Cluster) -> None:
        """Look whether it is known which command promotes it.

        Raises:
            EngineError: not by its image's name, and the file does not say.
        """
        for instance in self.instances(cluster.deployment):
            if self._server(instance) is None:
                raise EngineError(
                    f"{self.describe()}: {instance.name} ({instance.service.what}) is none of "
                    "postgres, valkey, redis by its image's name",
                    remedy="write `server:`",
                )

    async def get_ready(self, cluster: Cluster) -> None:
        """Connect, or start the command held back."""
        for instance in self.instances(cluster.deployment):
            self._ready.keep(instance, await self._open(cluster, instance))

    async def release(self) -> None:
        """Close what was opened and not used."""
        await self._ready.close()

    async def inject(self, cluster: Cluster) -> None:
        """Promote; returns when the server has done it."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._done]
        await asyncio.gather(*(self._promote(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Nothing: it stays a primary."""

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the server itself says so: not in recovery, or role master."""
        instances = self.instances(cluster.deployment)
        roles = await asyncio.gather(*(self._role(cluster, i) for i in instances))
        text = ", ".join(sorted(set(roles)))
        return Observation.of((role == "primary" for role in roles), text)

    def _server(self, instance: Instance) -> str | None:
        found = _KINDS.search(instance.service.image or "")
        return self.server or (found[1] if found else None)

    async def _open(self, cluster: Cluster, instance: Instance) -> Session:
        if self._server(instance) == "postgres":
            return await connect(cluster, instance, None)
        return await waiting(cluster, instance, [*self._cli(instance), "replicaof", "no", "one"])

    async def _promote(self, cluster: Cluster, instance: Instance) -> None:
        is_postgres = self._server(instance) == "postgres"
        go = _PROMOTE if is_postgres else "\n"
        session = await self._ready.take(instance, go)
        if session is None:
            session = await self._open(cluster, instance)
            await session.write(go)
        ended = await session.ended(_WITHIN_S + 2)
        said = succeeded(ended, _PROMOTE, instance)
        if said != ("t" if is_postgres else "OK"):
            raise InjectionError(f"{instance.name} was not promoted: {in_a_line(said)}")
        self._done.add(instance.name)

    async def _role(self, cluster: Cluster, instance: Instance) -> str:
        if self._server(instance) == "postgres":
            recovers = await ask(cluster, instance, "select pg_is_in_recovery()", _WITHIN_S)
            return "standby" if recovers == "t" else "primary"
        command = [*self._cli(instance), "info", "replication"]
        said = must_succeed(await run(cluster, instance, command, _WITHIN_S), command, instance)
        return "primary" if "role:master" in said.output else "standby"

    def _cli(self, instance: Instance) -> list[str]:
        return [_CLI[self._server(instance) or "valkey"]]
