"""Names and addresses of a run on this machine: decided before anything is started.

    127.83.7.0/24   .1        the lab's own: the proxy's API, the collector
                    .2 …      instances and load drivers, one address each for the whole run
                    .129 …    link ends, one address each, all answered by the proxy

On Linux every address of 127.0.0.0/8 is there without any set-up. Elsewhere only 127.0.0.1 is, so
each (address, port) is given a free port of that one instead; addresses are then only names, and
`real` is what knows. The block 127.64.0.0/10 is one that nothing else is known to use.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from lab.errors import EngineError
from lab.plan import Deployment, Instance, client_of

Mode = Literal["addresses", "ports"]

BLOCK = IPv4Network("127.64.0.0/10")
DRIVER_PORT = 9464
"""Where a load driver exposes its metrics."""
API_PORT = 8474
"""The proxy's API on a block's first address (Toxiproxy's usual port)."""
PROMETHEUS_PORT = 9090
_CLAIM_PORT = 8473
"""Who listens there on a block's first address owns the block."""
_ATTEMPTS = 256
_RESERVED = 2
_LOOPBACK = "127.0.0.1"
_FREE_PORTS = range(20_000, 32_000)
_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_RAISED = 10_000
"""Added to a port that this user may not listen on."""


def mode_here() -> Mode:
    """Linux has all of 127.0.0.0/8; other systems have one address."""
    return "addresses" if sys.platform == "linux" else "ports"


@dataclass(frozen=True, slots=True)
class Layout:
    """Who has which address; `instances` by instance or driver name, `links` by link end name.

    `moved` holds every known (address, port) that is really somewhere else.
    """

    mode: Mode
    own: str
    instances: Mapping[str, str]
    links: Mapping[str, str]
    moved: Mapping[tuple[str, int], tuple[str, int]]

    def real(self, address: str, port: int) -> tuple[str, int]:
        """Where a port of an address really is."""
        return self.moved.get((address, port), (address, port))

    def names_of(
        self, name: str, design: str, deployment: Deployment
    ) -> dict[str, tuple[str, ...]]:
        """The hosts file of an instance: host name -> addresses, a service's replicas together.

        What it has a link to it finds at the link's address, everything else of its design, or
        shared, at the real one.
        """
        found: dict[str, dict[str, None]] = {}
        linked = set[str]()
        for end in deployment.ends_out_of(name):
            linked.add(end.server.name)
            for host in (end.server.host, end.link.server):
                found.setdefault(host, {})[self.links[end.name]] = None
        linked_services = {deployment.instance(one).service.name for one in linked}
        for instance in deployment.instances:
            other = instance.service.name not in linked_services and instance.name != name
            if other and (instance.design in ("", design) or not design):
                for host in (instance.host, instance.service.name):
                    found.setdefault(host, {})[self.instances[instance.name]] = None
        return {host: tuple(addresses) for host, addresses in found.items()}


def lay_out(deployment: Deployment, network: IPv4Network, mode: Mode, *, drivers: bool) -> Layout:
    """Give everything its address in a free network."""
    lower, upper = network.subnets()
    names = [client_of(design) for design in deployment.designs] if drivers else []
    names += [instance.name for instance in deployment.instances]
    instances = {name: str(lower[_RESERVED + n]) for n, name in enumerate(names)}
    links = {end.name: str(upper[1 + n]) for n, end in enumerate(deployment.ends)}
    own = str(lower[1])
    known = dict.fromkeys(_known(deployment, own, instances, links))
    moved = _to_free_ports(known) if mode == "ports" else raised(known)
    return Layout(mode, own, instances, links, moved)


def free_network(
    run_id: str, deployment: Deployment, mode: Mode
) -> tuple[IPv4Network, socket.socket]:
    """A block of addresses that no other run has, and the socket that claims it.

    Keep the socket until the run is over: it listens, so the next run finds the block taken. Where
    addresses are only names, every block is free and there is nothing to claim.

    Raises:
        EngineError: no block is free.
    """
    prefix = _prefix(len(deployment.instances) + len(deployment.designs), len(deployment.ends))
    size = 2 ** (32 - prefix)
    blocks = BLOCK.num_addresses // size
    start = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big")
    for attempt in range(min(blocks, _ATTEMPTS)):
        first = int(BLOCK.network_address) + (start + attempt) % blocks * size
        network = IPv4Network((first, prefix))
        claim = socket.socket()
        try:
            if mode == "addresses":
                claim.bind((str(network[1]), _CLAIM_PORT))
                claim.listen(1)
                _refuse_used(str(network[1]))
        except OSError:
            claim.close()
        else:
            return network, claim
    raise EngineError(
        f"no free addresses in {BLOCK}",
        remedy=f"look what listens on port {_CLAIM_PORT} of all addresses",
    )


def _refuse_used(address: str) -> None:
    """A topology that was kept up has nobody to claim its block, but its proxy is there.

    Raises:
        OSError: it is.
    """
    with socket.socket() as proxy:
        proxy.bind((address, API_PORT))


def slug(name: str) -> str:
    """A file name for an instance or part: `pool/app-1` -> `pool-app-1`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"


def _prefix(instances: int, ends: int) -> int:
    """Length of the network prefix with room for so many: 24, or shorter for a big run."""
    need = max(instances, ends) + _RESERVED
    return min(24, 31 - (need - 1).bit_length())


def _known(
    deployment: Deployment, own: str, instances: Mapping[str, str], links: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """Every (address, port) that something is known to listen on."""
    yield own, API_PORT
    yield own, PROMETHEUS_PORT
    for end in deployment.ends:
        yield links[end.name], end.link.port
    for instance in deployment.instances:
        for port in _ports_of(deployment, instance):
            yield instances[instance.name], port
    for design in deployment.designs:
        if client_of(design) in instances:
            yield instances[client_of(design)], DRIVER_PORT


def _ports_of(deployment: Deployment, instance: Instance) -> Iterator[int]:
    """Ports that a service is known to have in any design: it listens there without a link too."""
    if instance.service.scrape:
        yield instance.service.scrape.port
    for topology in deployment.topologies.values():
        for link in topology.all_links:
            if link.server == instance.service.name:
                yield link.port


def raised(known: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, int]]:
    """Ports that an ordinary user may not listen on, moved up."""
    try:
        first = int(_UNPRIVILEGED.read_text())
    except (OSError, ValueError):
        first = 1024
    return {(address, port): (address, port + _RAISED) for address, port in known if port < first}


def _to_free_ports(known: Mapping[tuple[str, int], None]) -> dict[tuple[str, int], tuple[str, int]]:
    """A free port of 127.0.0.1 for each: all are bound at once, so that none is given twice.

    None that the system gives to outgoing connections (from 32768 on Linux, 49152 on macOS): one
    of those might take it before the server does.

    Raises:
        EngineError: too few are free.
    """
    candidates = random.sample(_FREE_PORTS, len(_FREE_PORTS))
    with contextlib.ExitStack() as held:
        moved = {}
        for one in known:
            while candidates:
                probe = held.enter_context(socket.socket())
                with contextlib.suppress(OSError):
                    port = candidates.pop()
                    probe.bind((_LOOPBACK, port))
                    moved[one] = (_LOOPBACK, port)
                    break
            else:
                raise EngineError("no free port of 127.0.0.1 is left", remedy="lab clean")
    return moved
