"""Certificates of services in containers."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from docker.errors import NotFound

from lab.engines.authority import Authority
from lab.engines.certifying import Certifying
from lab.engines.docker.containers import archive
from lab.engines.docker.daemon import Daemon
from lab.engines.docker.hands import Agent
from lab.engines.docker.layout import Layout
from lab.errors import EngineError
from lab.plan import Deployment, Instance, LinkEnd

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles


class Certificates(Certifying):
    """`lab.engines.Certified`, for containers."""

    layout: Layout
    _daemon: Daemon
    _agent: Agent
    _handles: Handles

    @property
    def _authority(self) -> Authority:
        return self._handles.authority

    def _reached_at(self, instance: Instance) -> list[str]:
        return addresses_of(instance, self.deployment, self.layout)

    async def _put(self, instance: Instance, files: Mapping[str, bytes]) -> None:
        container = self._handles.containers[instance.name]
        await self._daemon.call(self._daemon.api.put_archive, container, "/", archive(files))

    async def _get(self, instance: Instance, path: str) -> bytes:
        container = self._handles.containers[instance.name]
        try:
            stream, _ = await self._daemon.call(self._daemon.api.get_archive, container, path)
        except EngineError as error:
            if isinstance(error.__cause__, NotFound):
                return b""
            raise
        return await asyncio.to_thread(_content, stream)

    async def _shake(
        self, end: LinkEnd, name: str, authority: str, timeout_s: float
    ) -> Mapping[str, Any]:
        """Made beside the proxy, so that toxics and packet rules both show."""
        found: Mapping[str, Any] = await self._agent.order(
            "handshake",
            address=str(self.layout.links[end.name]),
            port=end.link.port,
            name=name,
            authority=authority,
            timeout_s=timeout_s,
        )
        return found


def addresses_of(instance: Instance, deployment: Deployment, layout: Layout) -> list[str]:
    """Its loopback address, its own, and those of the links into it."""
    links = [str(layout.links[end.name]) for end in deployment.ends_into(instance)]
    return ["127.0.0.1", str(layout.containers[instance.name]), *links]


def _content(stream: Any) -> bytes:
    """The only file of a tar that comes in pieces."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        return file.read() if file else b""
