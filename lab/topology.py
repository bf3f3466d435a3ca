"""A topology: services and the directed links between them. Frozen values, no I/O.

A topology is written as a Compose file with an `x-lab` block; `lab.loading` reads it. A *link*
`app -> db:5432` says that containers of `app` open connections to port 5432 of `db`; the lab puts
a proxy on every link and can break each one alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CLIENT = "client"
"""The name of the load driver as an end of a link: `client -> app:8000` always exists."""

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]

_LINK = re.compile(r"\s*([\w.-]+)\s*->\s*([\w.-]+)\s*:\s*(\d+)\s*")


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """How a service says that it is ready; the fields and defaults of the Compose specification.

    `test` is the Compose list form: `("CMD", …)` or `("CMD-SHELL", "…")`.
    """

    test: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0

    @property
    def command(self) -> tuple[str, ...]:
        """The command to run beside the service; empty when the check is switched off."""
        match self.test:
            case ("CMD", *words):
                return tuple(words)
            case ("CMD-SHELL", *words):
                return ("/bin/sh", "-c", *words)
            case _:
                return ()


@dataclass(frozen=True, slots=True)
class Build:
    """A Compose `build:` section; `context` is absolute."""

    context: Path
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class File:
    """A file or folder of the author put into the container (a Compose bind mount or config)."""

    source: Path
    target: str


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where Prometheus finds a service's metrics.

    `exporter` is None when the service speaks Prometheus itself on `port` and `path`; otherwise
    it names the exporter that speaks for it (`postgres`, `redis`) about the server on `port`.
    """

    port: int
    path: str = "/metrics"
    exporter: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service of a topology. `cpus` in cores, `memory_bytes` in bytes, None is no limit.

    `tmpfs` are `/target:options`, `volumes` `name:/target`; `sized` are the mount options of those
    volumes, by name, that are in memory and have a size (`size=64m`). `certificates` is the folder
    that gets a certificate of the run's authority, its key and the authority's own certificate;
    `trusts` one that gets the last of these alone.
    """

    name: str
    image: str | None = None
    build: Build | None = None
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    depends_on: Mapping[str, Condition] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    tmpfs: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    sized: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory_bytes: int | None = None
    replicas: int = 1
    shared: bool = False
    scrape: Scrape | None = None
    certificates: str | None = None
    trusts: str | None = None
    user: str | None = None
    working_dir: str | None = None
    stop_signal: str | None = None
    restart: str = "no"
    init: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def check_command(self) -> tuple[str, ...]:
        """Its healthcheck as a command; empty when it has none."""
        return self.healthcheck.command if self.healthcheck else ()

    @property
    def what(self) -> str:
        """What runs: the image, or the folder it is built from."""
        if self.image or not self.build:
            return self.image or ""
        return (self.build.context / self.build.dockerfile).resolve().parent.name


@dataclass(frozen=True, slots=True)
class Link:
    """A directed connection from the services' side that opens it to the one that accepts it."""

    client: str
    server: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Link:
        """Read `app -> db:5432`.

        Raises:
            ValueError: the text is not of that form.
        """
        match = _LINK.fullmatch(text)
        if not match or not 0 < int(match[3]) < 65536:
            raise ValueError(
                f"`{text}` is not a link: write `client -> server:port`, like app -> db:5432"
            )
        return cls(match[1], match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.client} -> {self.server}:{self.port}"

    @property
    def pair(self) -> str:
        """The link without its port, as faults name it: `app -> db`."""
        return f"{self.client} -> {self.server}"


@dataclass(frozen=True, slots=True)
class Topology:
    """Services and links. `entry` is where load arrives, as the link from the client."""

    name: str
    services: Mapping[str, Service]
    links: tuple[Link, ...]
    entry: Link
    path: Path | None = None

    @property
    def all_links(self) -> tuple[Link, ...]:
        """The link from the client to the entry, then the declared ones."""
        return (self.entry, *self.links)
