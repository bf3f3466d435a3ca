"""The network of a run: one bridge on a subnet that nothing else here uses."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path

import docker
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from lab.engines.docker.daemon import in_words
from lab.errors import EngineError

# RFC 2544 sets the first range aside for benchmarks, so no office or VPN uses it; the others are
# private ranges (RFC 1918) for machines where the first is taken after all.
RANGES = ("198.18.0.0/15", "10.192.0.0/10", "172.24.0.0/13")
_TRIES = 60


def create_network(
    client: docker.DockerClient, name: str, prefix: int, labels: Mapping[str, str], start: int
) -> tuple[str, IPv4Network]:
    """Create the run's network and return its id and subnet.

    `start` says where in a range to begin looking, so that runs that start together do not all
    ask for the same subnet.

    Raises:
        EngineError: no subnet is free, or Docker refuses for another reason.
    """
    for subnet in free_subnets(taken_subnets(client), prefix, start):
        lower = next(subnet.subnets())
        pool = IPAMPool(subnet=str(subnet), iprange=str(lower), gateway=str(subnet[1]))
        try:
            created = client.api.create_network(
                name, driver="bridge", ipam=IPAMConfig(pool_configs=[pool]), labels=dict(labels)
            )
        except APIError as error:
            # Another run may have taken it between the look and the creation.
            if "overlap" in in_words(error).lower():
                continue
            raise EngineError(f"Docker refused the network {subnet}: {in_words(error)}") from error
        return str(created["Id"]), subnet
    raise EngineError(
        f"no free /{prefix} network in {', '.join(RANGES)}",
        remedy="remove unused ones: `lab clean`, then `docker network prune`",
    )


def free_subnets(taken: Iterable[IPv4Network], prefix: int, start: int) -> Iterator[IPv4Network]:
    """Candidates that overlap nothing known, a bounded number of each range."""
    known = list(taken)
    for text in RANGES:
        span = IPv4Network(text)
        count = 2 ** (prefix - span.prefixlen)
        found = 0
        for n in range(count):
            size = 2 ** (32 - prefix)
            first = int(span.network_address) + (start + n) % count * size
            subnet = IPv4Network((first, prefix))
            if any(subnet.overlaps(other) for other in known):
                continue
            yield subnet
            found += 1
            if found == _TRIES:
                break


def taken_subnets(client: docker.DockerClient) -> list[IPv4Network]:
    """Subnets of Docker's networks and of this host's routes, without the default route."""
    taken: list[IPv4Network] = []
    for network in client.api.networks():
        for pool in (network.get("IPAM") or {}).get("Config") or []:
            subnet = pool.get("Subnet", "")
            taken += [IPv4Network(subnet, strict=False)] if "." in subnet else []  # not IPv6
    return [*taken, *_routes()]


def _routes() -> list[IPv4Network]:
    """The host's IPv4 routes, where the kernel lists them as Linux does."""
    table = Path("/proc/net/route")
    if not table.exists():
        return []
    routes = []
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        address = socket.inet_ntoa(struct.pack("<L", int(fields[1], 16)))
        mask = socket.inet_ntoa(struct.pack("<L", int(fields[7], 16)))
        route = IPv4Network(f"{address}/{mask}", strict=False)
        if route.prefixlen:
            routes.append(route)
    return routes
