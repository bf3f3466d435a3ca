"""Removing what runs created, by label and nothing else."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound

from lab.engines.docker.daemon import in_words
from lab.engines.docker.owner import KEPT, RUN, is_alive

_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one run has left: ids of containers, networks and volumes.

    `alive`: its process still runs. `kept`: it was left up on purpose (`lab up`).
    """

    run_id: str
    containers: tuple[str, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    alive: bool
    kept: bool

    def __str__(self) -> str:
        counts = {
            "container": self.containers,
            "network": self.networks,
            "volume": self.volumes,
        }
        found = [f"{len(ids)} {name}{'s' * (len(ids) > 1)}" for name, ids in counts.items() if ids]
        return f"run {self.run_id}: {', '.join(found)}"


def leftovers(client: docker.DockerClient, run_id: str | None = None) -> list[Leftover]:
    """Everything with the lab's label, by run; also what belongs to a run in progress."""
    wanted = {"label": f"{RUN}={run_id}" if run_id else RUN}
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    kinds: dict[str, Iterable[dict[str, Any]]] = {
        "Id": client.api.containers(all=True, filters=wanted),
        "networks": client.api.networks(filters=wanted),
        "volumes": client.api.volumes(filters=wanted).get("Volumes") or [],
    }
    for kind, things in kinds.items():
        for thing in things:
            found[thing["Labels"][RUN]][kind].append(thing)
    return [_leftover(run, kinds) for run, kinds in sorted(found.items())]


def clean(client: docker.DockerClient, run_id: str | None = None) -> list[str]:
    """Remove what one run left, or what every run left that is over and was not kept on purpose.

    Returns what could not be removed, in words; nothing when all is gone.
    """
    if run_id is not None:
        chosen = leftovers(client, run_id)
    else:
        chosen = [left for left in leftovers(client) if not left.alive and not left.kept]
    troubles: list[str] = []
    with ThreadPoolExecutor(_WORKERS) as pool:
        for leftover in chosen:
            troubles += _remove(client, leftover, pool)
    return troubles


def _remove(client: docker.DockerClient, leftover: Leftover, pool: ThreadPoolExecutor) -> list[str]:
    """Containers first: a network or volume in use cannot be removed."""
    api = client.api
    troubles: list[str] = []
    lock = threading.Lock()

    def attempt(kind: str, remove: Callable[[str], object], thing: str) -> None:
        trouble = _trouble(remove, thing)
        if trouble:
            with lock:
                troubles.append(f"{kind} {thing[:12]}: {trouble}")

    def container(thing: str) -> None:
        api.remove_container(thing, v=True, force=True)

    list(pool.map(lambda thing: attempt("container", container, thing), leftover.containers))
    list(pool.map(lambda thing: attempt("network", api.remove_network, thing), leftover.networks))
    list(pool.map(lambda thing: attempt("volume", api.remove_volume, thing), leftover.volumes))
    return troubles


def _trouble(remove: Callable[[str], object], thing: str) -> str:
    """Why it is still there; empty when it is gone, also when another was quicker."""
    try:
        remove(thing)
    except NotFound:
        return ""
    except APIError as error:
        text = in_words(error)
        return "" if "already in progress" in text else text
    except (DockerException, OSError) as error:
        return str(error)
    return ""


def _leftover(run_id: str, kinds: dict[str, list[dict[str, Any]]]) -> Leftover:
    labels = [thing["Labels"] for things in kinds.values() for thing in things]
    return Leftover(
        run_id,
        tuple(thing["Id"] for thing in kinds["Id"]),
        tuple(thing["Id"] for thing in kinds["networks"]),
        tuple(thing["Name"] for thing in kinds["volumes"]),
        alive=any(is_alive(own) for own in labels),
        kept=any(own.get(KEPT) == "true" for own in labels),
    )
