"""A container of the lab, and what all of a run have in common: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lab.engines.docker.containers import Config, joins
from lab.engines.docker.layout import Layout
from lab.plan import Deployment


@dataclass(frozen=True, slots=True)
class Part:
    """A container of the lab: its description, and a tar of files to be unpacked at `/`."""

    name: str
    config: Config
    files: bytes = b""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all parts of a run have in common. `images` are ids by reference."""

    deployment: Deployment
    layout: Layout
    network: str
    images: Mapping[str, str]
    labels: Mapping[str, str]

    def joins(self, name: str) -> Config:
        """The place of a part in the network."""
        return joins(self.network, self.layout.containers[name])
