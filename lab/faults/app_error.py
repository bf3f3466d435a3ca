"""`app_error`: a service answers a share of its requests with 500, drawn from a seed.

For failures that come from inside a service (a bad node, a bad deploy), armed over HTTP in sample
services that use `topologies/lib/labkit`: `POST /_lab/fail?share=0.2&seed=1`.
"""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster
from lab.errors import InjectionError
from lab.faults.base import Observation, ServiceFault
from lab.units import Share, format_share

_PATH = "/_lab/fail"


class AppError(ServiceFault):
    """A share of the requests to a service fails with 500, at random."""

    kind: ClassVar[str] = "app_error"

    share: Share = Field(description="how many of the requests fail", examples=["20%"])
    seed: int = Field(default=1, description="which of them: the same seed, the same requests")

    def describe(self) -> str:
        """`20 % of requests to app fail`."""
        return f"{format_share(self.share)} of requests to {self.service} fail"

    async def inject(self, cluster: Cluster) -> None:
        """Arm the failpoint."""
        await self._call(cluster, "POST", f"{_PATH}?share={self.share}&seed={self.seed}")

    async def heal(self, cluster: Cluster) -> None:
        """Disarm it."""
        await self._call(cluster, "DELETE", _PATH)

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when every instance says that this share is armed."""
        answers = await self._call(cluster, "GET", _PATH)
        shares = [float(json.loads(answer)["share"]) for answer in answers]
        text = ", ".join(sorted({format_share(share) for share in shares})) + " armed"
        return Observation.of((share == self.share for share in shares), text)

    async def _call(self, cluster: Cluster, method: str, path: str) -> list[str]:
        instances = self.instances(cluster.deployment)
        answers = await asyncio.gather(*(cluster.http(i, method, path) for i in instances))
        for instance, (status, body) in zip(instances, answers, strict=True):
            if status >= 400:
                raise InjectionError(
                    f"{instance.name} answered {status} to {method} {path}: {body[:200]}",
                    remedy="app_error needs a service that offers /_lab/fail, as labkit's do",
                )
        return [body for _, body in answers]
