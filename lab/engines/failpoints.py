"""Failpoints of services, over HTTP past every fault: the part of `Armable` that engines share.

A service that has failpoints answers to `/_lab/failpoints` on the port of its metrics; the other
end of it is `topologies/lib/labkit/failpoint.py`.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from urllib.parse import urlencode

from lab.engines import Point, State
from lab.errors import EngineError, InjectionError
from lab.plan import Instance

_PATH = "/_lab/failpoints/"
_ANSWER_S = 2.0
_SOON_S = 0.5
"""A process that runs answers sooner; one that does not is stopped."""


class Failpoints(ABC):
    """`Armable` for a cluster that can send requests and wake a process that stopped itself."""

    @abstractmethod
    async def http(
        self, instance: Instance, method: str, path: str, body: str | None = None
    ) -> tuple[int, str]:
        """As in `Cluster`."""

    @abstractmethod
    async def state(self, instance: Instance) -> State:
        """As in `Cluster`."""

    @abstractmethod
    async def _wake(self, instance: Instance) -> None:
        """Let every process of it that has stopped go on (SIGCONT)."""

    @abstractmethod
    def _excuse(self, instance: Instance, *, excused: bool) -> None:
        """Whether it is news when it ends by itself."""

    @cached_property
    def _touched(self) -> dict[tuple[str, str], Instance]:
        """Where something was ever armed: by instance and point."""
        return {}

    async def arm(self, instance: Instance, point: str, settings: Mapping[str, str]) -> Point:
        """Let it fail there."""
        self._touched[instance.name, point] = instance
        self._excuse(instance, excused=True)
        path = f"{_PATH}{point}?{urlencode(settings)}"
        status, body = await self._answer(instance, "POST", path, _ANSWER_S)
        if status != 200:
            raise InjectionError(
                f"{instance.name} answered {status} to POST {path}: {body[:200]}",
                remedy="docs/failpoints.md says how a service gets failpoints",
            )
        return _point(body)

    async def disarm(self, instance: Instance, point: str) -> None:
        """Nothing fails there any more; a process that has ended needs nothing."""
        try:
            if (await self.state(instance)).status in ("running", "paused"):
                await self._disarm(instance, f"{_PATH}{point}")
        finally:
            self._excuse(instance, excused=False)

    async def point(self, instance: Instance, point: str, timeout_s: float) -> Point | None:
        """What it says of a point."""
        try:
            status, body = await self._answer(instance, "GET", f"{_PATH}{point}", timeout_s)
        except EngineError:
            return None
        return _point(body) if status == 200 else None

    async def armed(self) -> list[str]:
        """What faults left armed, in words that begin with the instance."""
        names = [name for _, name in self._touched]
        seen = await asyncio.gather(
            *(self.point(i, name, _ANSWER_S) for (_, name), i in self._touched.items())
        )
        return [
            f"{instance.name}: failpoint {name} is armed"
            for instance, name, point in zip(self._touched.values(), names, seen, strict=True)
            if point and (point.armed or point.held)
        ]

    async def _disarm(self, instance: Instance, path: str) -> None:
        try:
            await self._answer(instance, "DELETE", path, _SOON_S)
        except EngineError:
            await self._wake(instance)
            await self._answer(instance, "DELETE", path, _ANSWER_S)

    async def _answer(
        self, instance: Instance, method: str, path: str, timeout_s: float
    ) -> tuple[int, str]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.http(instance, method, path)
        except TimeoutError:
            raise EngineError(
                f"{instance.name} did not answer to {method} {path} within {timeout_s:g} s"
            ) from None


def _point(body: str) -> Point:
    """What a service tells of a point.

    Raises:
        EngineError: it tells something else.
    """
    try:
        told = json.loads(body)
        return Point(**{field.name: told[field.name] for field in fields(Point)})
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"a failpoint is told of in other words than {body[:100]!r}",
            remedy="docs/failpoints.md says in which",
        ) from error
