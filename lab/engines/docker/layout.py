"""Names and addresses of a run's network: pure, decided before anything exists.

    198.18.7.0/24    .1        gateway
    lower half       .2 …      containers, one address each for the whole run (a restart keeps it,
                               so that a cached address never reaches another service)
    upper half       .129 …    link ends, one address each, all answered by the proxy's container
                     .254      the lab's own hand: orders to services come from here, past any fault

A client finds the links it may use in its own hosts file; what it has no link to it finds at the
real address; nothing else of the run has a name that it would guess.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.plan import Deployment, Instance, LinkEnd, client_of

PROXY = "lab/toxiproxy"
PROMETHEUS = "lab/prometheus"
POSTGRES_EXPORTER = "lab/postgres-exporter"
REDIS_EXPORTER = "lab/redis-exporter"
GRAFANA = "lab/grafana"
EXPORTERS = {"postgres": POSTGRES_EXPORTER, "redis": REDIS_EXPORTER}
_RESERVED = 2  # the network's own address and the gateway


@dataclass(frozen=True, slots=True)
class Layout:
    """Who has which address. `containers` is by instance or part name, `links` by link end name.

    All are decided before anything exists, and kept: only an instance that is replaced may get
    another one.
    """

    run_id: str
    subnet: IPv4Network
    designs: tuple[str, ...]
    containers: dict[str, IPv4Address]
    links: Mapping[str, IPv4Address]

    @property
    def lower(self) -> IPv4Network:
        """Where containers live."""
        return next(self.subnet.subnets())

    @property
    def upper(self) -> IPv4Network:
        """Where links live."""
        return list(self.subnet.subnets())[1]

    @property
    def nobody(self) -> IPv4Address:
        """An address of this network that nothing ever has."""
        return self.lower[-1]

    @property
    def hand(self) -> IPv4Address:
        """Where orders to services come from."""
        return self.subnet[-2]

    @property
    def observers(self) -> list[IPv4Address]:
        """Who goes on looking at a service when it has lost its network, as if by another one."""
        seeing = [PROMETHEUS, *EXPORTERS.values()]
        return [self.hand, *(self.containers[name] for name in seeing if name in self.containers)]

    def container_name(self, name: str) -> str:
        """The container's name: `lab-1f0c2a9b-pool-app-1`."""
        return f"lab-{_safe(self.run_id)[-8:]}-{self._slug(name)}"

    def alias(self, instance: Instance) -> str:
        """The one name by which the proxy finds an instance: `app-1.pool`."""
        design = self._design_slug(instance.design) if instance.design else "shared"
        return f"{instance.host}.{design}".lower()

    def log_name(self, name: str) -> str:
        """The log file's name: `pool-app-1.log`."""
        return f"{self._slug(name)}.log"

    def _slug(self, name: str) -> str:
        design, slash, host = name.partition("/")
        return f"{self._design_slug(design)}-{_safe(host)}" if slash else _safe(name)

    def _design_slug(self, design: str) -> str:
        """A design's name without what containers and hosts cannot be called, still unique."""
        slug = _safe(design)
        same = [other for other in self.designs if _safe(other) == slug]
        return slug if len(same) < 2 else f"{slug}-{same.index(design) + 1}"


def prefix_for(containers: int, ends: int) -> int:
    """Length of the network prefix with room for so many: 24, or shorter for a big run."""
    # One address below stays nobody's, and one above is the lab's hand.
    need = max(containers, ends) + _RESERVED + 1
    return min(24, 31 - (need - 1).bit_length())


def own_parts(deployment: Deployment, *, drivers: bool, grafana: bool = False) -> list[str]:
    """Names of the lab's own containers that have an address."""
    kinds = {i.service.scrape.exporter for i in deployment.instances if i.service.scrape}
    exporters = [name for kind, name in EXPORTERS.items() if kind in kinds]
    own = [client_of(design) for design in deployment.designs] if drivers else []
    return [PROXY, PROMETHEUS, *([GRAFANA] if grafana else []), *exporters, *own]


def lay_out(run_id: str, deployment: Deployment, subnet: IPv4Network, own: Sequence[str]) -> Layout:
    """Give everything its address; the same deployment and subnet give the same layout."""
    lower, upper = subnet.subnets()
    names = [*own, *(instance.name for instance in deployment.instances)]
    return Layout(
        run_id,
        subnet,
        deployment.designs,
        {name: lower[_RESERVED + n] for n, name in enumerate(names)},
        {end.name: upper[1 + n] for n, end in enumerate(deployment.ends)},
    )


def hosts_of(name: str, design: str, deployment: Deployment, layout: Layout) -> list[str]:
    """The `name:address` lines of the hosts file of a client: an instance or a design's driver.

    A server of several link ends has each of their addresses under its service's name, so the
    client's resolver spreads over them as it would over the replicas themselves.
    """
    lines: dict[str, None] = {}
    linked = set[str]()
    for end in deployment.ends_out_of(name):
        address = layout.links[end.name]
        linked.add(end.server.name)
        lines[f"{end.server.host}:{address}"] = None
        lines[f"{end.link.server}:{address}"] = None
    reached: dict[str, list[Instance]] = defaultdict(list)
    for instance in deployment.instances:
        if instance.design in ("", design):
            reached[instance.service.name].append(instance)
    for service, instances in reached.items():
        if any(instance.name in linked for instance in instances):
            continue
        for instance in instances:
            if instance.name != name:
                lines[f"{instance.host}:{layout.containers[instance.name]}"] = None
                lines[f"{service}:{layout.containers[instance.name]}"] = None
    return list(lines)


def endpoints(end: LinkEnd, layout: Layout) -> tuple[str, str]:
    """Where the proxy of a link end listens, and what it dials.

    By name, looked up anew for every connection, in the proxy's own hosts file.
    """
    upstream = f"{layout.alias(end.server)}:{end.link.port}"
    return f"{layout.links[end.name]}:{end.link.port}", upstream


def _safe(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"
