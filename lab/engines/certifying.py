"""Certificates of services: the part of `Certified` that engines share."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from lab.engines.authority import CERT, KEY, Authority, left_s
from lab.engines.certified import Flaw, Handshake, Outcome
from lab.errors import EngineError
from lab.plan import Deployment, Instance, LinkEnd

_LOOK_S = 1.0


class Certifying(ABC):
    """`Certified` for a cluster that can write and read files of instances."""

    deployment: Deployment

    @property
    @abstractmethod
    def _authority(self) -> Authority:
        """Of this run."""

    @abstractmethod
    def _reached_at(self, instance: Instance) -> list[str]:
        """Where it may be found: its own addresses, and those of links into it."""

    @abstractmethod
    async def _put(self, instance: Instance, files: Mapping[str, bytes]) -> None:
        """Write files into it, by path in the container."""

    @abstractmethod
    async def _get(self, instance: Instance, path: str) -> bytes:
        """Read a file of it; nothing when there is none."""

    @abstractmethod
    async def _shake(
        self, end: LinkEnd, name: str, authority: str, timeout_s: float
    ) -> Mapping[str, Any]:
        """What `handshake` of `lab.engines.handshake` says of a link."""

    @cached_property
    def _recertified(self) -> dict[str, Instance]:
        """Those that ever got another pair than their own, for a look at what is left."""
        return {}

    async def certify(
        self, instance: Instance, flaw: Flaw | None = None, lifetime_s: float | None = None
    ) -> None:
        """Make a pair and put it into the folder of an instance."""
        if not instance.service.certificates:
            raise EngineError(f"{instance.name} has no certificate")
        self._recertified[instance.name] = instance
        addresses = self._reached_at(instance)
        await self._put(instance, self._authority.pair(instance, addresses, flaw, lifetime_s))

    async def own_certificate_lies(self, instance: Instance) -> bool:
        """Whether both files are as they were when it came up."""
        own = self._authority.pair(instance, self._reached_at(instance))
        return all([await self._get(instance, path) == own[path] for path in own])

    async def handshake(self, end: LinkEnd, timeout_s: float) -> Handshake:
        """With the name by which the link's clients find the service."""
        authority = self._authority.pem.decode()
        found = await self._shake(end, end.link.server, authority, timeout_s)
        outcome = cast("Outcome", found["outcome"])
        if not (served := base64.b64decode(found["served"])):
            return Handshake(outcome)
        return Handshake(outcome, left_s(served), self._authority.is_own(end.server, served))

    async def bad_certificates(self) -> list[str]:
        """Instances that still have or serve another certificate than their own, in words."""
        left = []
        for instance in self._recertified.values():
            if not await self.own_certificate_lies(instance):
                folder = instance.service.certificates
                left.append(f"{instance.name}: {CERT} and {KEY} in {folder} are not its own")
            for end in self.deployment.ends_into(instance):
                seen = await self.handshake(end, _LOOK_S)
                if seen.left_s is not None and not seen.is_own:
                    left.append(f"{end.name}: a certificate is served that is not its own")
        return left
