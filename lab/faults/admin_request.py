"""`admin_request`: a request to a service's own administrative paths, past every fault.

It goes straight to the port where the service's metrics are, which is where such paths live.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field, PrivateAttr, model_validator

from lab.engines import Cluster
from lab.errors import EngineError, InjectionError
from lab.experiment import Model
from lab.faults.base import Observation, ServiceFault
from lab.faults.commands import in_a_line
from lab.plan import Instance

_METHODS = ("get", "post", "put", "delete")


class Call(Model):
    """One request, and what its answer must be. Exactly one of the methods is written."""

    get: str | None = Field(default=None, description="the path to GET")
    post: str | None = Field(default=None, description="the path to POST to")
    put: str | None = Field(default=None, description="the path to PUT to")
    delete: str | None = Field(default=None, description="the path to DELETE")
    body: str | None = Field(default=None, description="what to send")
    status: int | None = Field(
        default=None, ge=100, le=599, description="the status it must have (default: any below 400)"
    )
    contains: str | None = Field(default=None, description="a text its body must have")

    @model_validator(mode="after")
    def _one_method(self) -> Call:
        written = [path for name in _METHODS if (path := getattr(self, name)) is not None]
        if len(written) != 1:
            raise ValueError("one method is wanted: write one of get, post, put, delete")
        if not written[0].startswith("/"):
            raise ValueError(f"`{written[0]}` is not a path: write it with a / at its beginning")
        return self

    @property
    def method(self) -> str:
        """`POST`."""
        return next(name for name in _METHODS if getattr(self, name) is not None).upper()

    @property
    def path(self) -> str:
        """`/admin/reload`."""
        return str(getattr(self, self.method.lower()))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def fits(self, status: int, body: str) -> bool:
        """Whether an answer is the one that is wanted."""
        right = status == self.status if self.status is not None else status < 400
        return right and (self.contains or "") in body


class AdminRequest(ServiceFault):
    """An administrative request to a service, past every fault; without `undo` it stays."""

    kind: ClassVar[str] = "admin_request"

    call: Call = Field(
        description="the request: a path under `get`, `post`, `put` or `delete`; and if need be "
        "`body`, and `status` and `contains` that its answer must have",
        examples=[{"post": "/_lab/fail?share=0.3"}],
    )
    undo: Call | None = Field(default=None, description="the request that heals it")
    check: Call | None = Field(
        default=None,
        description="a request answered like this while it is in effect, not before and after",
    )
    _begun: set[str] = PrivateAttr(default_factory=set)
    _answers: dict[str, tuple[int, str]] = PrivateAttr(default_factory=dict)

    @property
    def permanent(self) -> bool:
        """Without an undo it stays."""
        return self.undo is None

    def describe(self) -> str:
        """`POST /admin/reload to app`."""
        return f"{self.call} to {self.service}"

    async def prepare(self, cluster: Cluster) -> None:
        """A service that shows its metrics through an exporter has no port of its own for this.

        Raises:
            EngineError: it is one.
        """
        for instance in self.instances(cluster.deployment):
            scrape = instance.service.scrape
            if scrape is None or scrape.exporter:
                raise EngineError(
                    f"{self.describe()}: {instance.name} has no port of its own under `metrics`",
                    remedy="add it to `metrics:` of the topology, or use `exec`",
                )

    async def inject(self, cluster: Cluster) -> None:
        """Send it; one that was answered well is not sent again."""
        instances = [i for i in self.instances(cluster.deployment) if i.name not in self._answers]
        await asyncio.gather(*(self._send(cluster, i) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Send `undo` where the request was begun."""
        if self.undo is None:
            return
        begun = [i for i in self.instances(cluster.deployment) if i.name in self._begun]
        await asyncio.gather(*(_answer(cluster, i, self.undo) for i in begun))
        self._begun.clear()
        self._answers.clear()

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when `check` is answered as wanted by all; without one, by its own answers."""
        instances = self.instances(cluster.deployment)
        call = self.check or self.call
        found: list[tuple[int, str] | None]
        if self.check:
            found = [*await asyncio.gather(*(_send(cluster, i, call) for i in instances))]
        else:
            found = [self._answers.get(i.name) for i in instances]
        words = {f"{a[0]}: {in_a_line(a[1])}" if a else "not sent" for a in found}
        return Observation.of((a is not None and call.fits(*a) for a in found), ", ".join(words))

    async def _send(self, cluster: Cluster, instance: Instance) -> None:
        self._begun.add(instance.name)
        self._answers[instance.name] = await _answer(cluster, instance, self.call)


async def _send(cluster: Cluster, instance: Instance, call: Call) -> tuple[int, str]:
    return await cluster.http(instance, call.method, call.path, call.body)


async def _answer(cluster: Cluster, instance: Instance, call: Call) -> tuple[int, str]:
    """The answer, when it is the one that is wanted.

    Raises:
        InjectionError: with the other one.
    """
    status, body = await _send(cluster, instance, call)
    if not call.fits(status, body):
        raise InjectionError(f"{instance.name} answered {status} to {call}: {in_a_line(body)}")
    return status, body
