"""Certificates of services that run as processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.engines.authority import Authority
from lab.engines.certifying import Certifying
from lab.engines.handshake import handshake
from lab.engines.local.layout import Layout
from lab.engines.local.recipes import files as places
from lab.plan import Deployment, Instance, LinkEnd

if TYPE_CHECKING:
    from lab.engines.local.handles import Handles


class Certificates(Certifying):
    """`lab.engines.Certified`, for processes here."""

    layout: Layout
    _handles: Handles

    @property
    def _authority(self) -> Authority:
        return self._handles.authority

    def _reached_at(self, instance: Instance) -> list[str]:
        return addresses_of(instance, self.deployment, self.layout)

    async def _put(self, instance: Instance, files: Mapping[str, bytes]) -> None:
        put(files, self._handles.homes[instance.name])

    async def _get(self, instance: Instance, path: str) -> bytes:
        file = places.inside(self._handles.homes[instance.name], path)
        return file.read_bytes() if file.is_file() else b""

    async def _shake(
        self, end: LinkEnd, name: str, authority: str, timeout_s: float
    ) -> Mapping[str, Any]:
        """Made here, which is where its clients are, too."""
        host, port = self.layout.real(self.layout.links[end.name], end.link.port)
        return await handshake(host, port, name, authority, timeout_s)


def addresses_of(instance: Instance, deployment: Deployment, layout: Layout) -> list[str]:
    """The loopback address, its own, and those of the links into it."""
    links = [layout.links[end.name] for end in deployment.ends_into(instance)]
    return ["127.0.0.1", layout.instances[instance.name], *links]


def put(files: Mapping[str, bytes], home: Path) -> None:
    """Write files under a home, by path in the container, each at once and for its user alone."""
    for target, content in files.items():
        path = places.inside(home, target)
        path.parent.mkdir(parents=True, exist_ok=True)
        coming = path.with_name(f".{path.name}")
        coming.touch(mode=0o600)
        coming.write_bytes(content)
        coming.replace(path)
