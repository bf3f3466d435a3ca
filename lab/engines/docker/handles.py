"""What a bring-up in Docker opened: shared by everything that works on a cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.engines.authority import Authority

if TYPE_CHECKING:
    from lab.engines.docker.driver_channel import DockerDriver
    from lab.engines.docker.execution import DockerSession
    from lab.engines.docker.inside import Insider
    from lab.engines.docker.replacing import Replacer


@dataclass(slots=True)
class Handles:
    """What a bring-up opened: ids by instance or part name, drivers by design, URLs by part name.

    `jobs` are names of instances that end when their work is done; `retired` has the ids of
    containers that were replaced, by instance name.
    """

    containers: dict[str, str] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    drivers: dict[str, DockerDriver] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    insider: Insider | None = None
    authority: Authority = field(default_factory=Authority)
    sessions: list[tuple[str, DockerSession]] = field(default_factory=list)
    replacer: Replacer | None = None
    retired: dict[str, list[str]] = field(default_factory=dict)
