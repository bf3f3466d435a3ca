"""From an experiment to what will exist and happen: pure, printable, no engine needed.

    Experiment --deploy()--> Deployment: instances (one per design and replica, or shared by all
                             designs) and link ends (one proxy each)

Names are stable: instance `pool/app-1` is replica 1 of service `app` in design `pool`; a shared
service has no design part: `app-1`. A link end is `pool/app-1 -> db-1:5432`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol, runtime_checkable

from lab.experiment import Design, Experiment
from lab.selection import NOTHING_FOUND, Found, ends_of_link, means, parse_selection
from lab.topology import CLIENT, Link, Service, Topology


@dataclass(frozen=True, slots=True)
class Instance:
    """One container or process to run. `design` is "" when every design shares it."""

    design: str
    service: Service
    replica: int

    @property
    def name(self) -> str:
        """Unique in the run: `pool/app-1`."""
        return f"{self.design}/{self.host}" if self.design else self.host

    @property
    def host(self) -> str:
        """The name by which its own design knows it: `app-1`."""
        return f"{self.service.name}-{self.replica}"


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One proxy: from one client instance (or the driver of a design) to one server instance."""

    design: str
    link: Link
    client: str
    server: Instance

    @property
    def name(self) -> str:
        """Unique in the run: `pool/app-1 -> db-1:5432`."""
        prefix = f"{self.design}/" if self.design else ""
        return f"{prefix}{self.client_host} -> {self.server.host}:{self.link.port}"

    @property
    def proxy(self) -> str:
        """The name of its proxy: the same, without what a URL path cannot hold."""
        return self.name.replace("/", ".").replace(" -> ", ".to.").replace(":", ".")

    @property
    def client_host(self) -> str:
        """The client's short name: `app-1`, or `client`."""
        return self.client.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything an engine must bring up for one run."""

    designs: tuple[str, ...]
    topologies: Mapping[str, Topology]
    instances: tuple[Instance, ...]
    ends: tuple[LinkEnd, ...]
    seed: int = 1
    """Decides about all chance."""
    intercepted: frozenset[str] = frozenset()
    """Names of the link ends that need something in their path that knows HTTP."""
    resolving: frozenset[str] = frozenset()
    """Names of the instances that are to find others by DNS and not by their hosts file."""
    skewed: frozenset[str] = frozenset()
    """Names of the instances whose clock is to be set while they run."""

    def instance(self, name: str) -> Instance:
        """The instance of that unique name.

        Raises:
            KeyError: there is none.
        """
        for instance in self.instances:
            if instance.name == name:
                return instance
        raise KeyError(name)

    def instances_of(self, target: str, found: Found = NOTHING_FOUND) -> list[Instance]:
        """All instances, over all designs, of `app`, of one replica (`app-2`), or like `app-*`.

        Or of a selection (`leader of etcd`): those `found`, else all that it may be.
        """
        return [
            one
            for one in self.instances
            if means(target, one.name, one.service.name, one.host, found)
        ]

    def ends_of(self, target: str, found: Found = NOTHING_FOUND) -> list[LinkEnd]:
        """All link ends of `app -> db`, `app-1 -> db` or with a port, over all designs.

        Either end may be a selection.
        """
        return [end for end in self.ends if _matches(end, target, found)]

    def ends_into(self, instance: Instance) -> list[LinkEnd]:
        """All link ends whose server is this instance."""
        return [end for end in self.ends if end.server.name == instance.name]

    def ends_out_of(self, name: str) -> list[LinkEnd]:
        """All link ends whose client is the instance of that unique name."""
        return [end for end in self.ends if end.client == name]


@runtime_checkable
class Intercepting(Protocol):
    """A fault that needs links to be intercepted, which is known before anything runs."""

    def intercepts(self, deployment: Deployment) -> Iterable[str]:
        """The names of their ends."""
        ...


@runtime_checkable
class Resolving(Protocol):
    """A fault of names, for which instances have to look names up."""

    def resolves(self, deployment: Deployment) -> Iterable[str]:
        """The names of these instances."""
        ...


@runtime_checkable
class Skewing(Protocol):
    """A fault that sets the clocks of services, which is known before anything runs."""

    def skews(self, deployment: Deployment) -> Iterable[str]:
        """Names of the instances whose clocks it may set."""
        ...


def client_of(design: str) -> str:
    """The unique name of a design's load driver: `pool/client`."""
    return f"{design}/{CLIENT}"


def configured(design: Design) -> dict[str, Service]:
    """A design's services: the topology's, with the design's environment and replicas."""
    return {
        name: replace(
            service,
            environment={**service.environment, **design.env.get(name, {})},
            replicas=design.replicas.get(name, service.replicas),
        )
        for name, service in design.topology.services.items()
    }


def deploy(experiment: Experiment) -> Deployment:
    """What must run for all designs of an experiment side by side."""
    services = {name: configured(design) for name, design in experiment.designs.items()}
    topologies = {name: design.topology for name, design in experiment.designs.items()}
    return _prepared(
        replace(_deployment(topologies, services), seed=experiment.seed),
        [scheduled.fault for scheduled in experiment.faults],
    )


def deploy_topology(topology: Topology, faults: Iterable[object] = ()) -> Deployment:
    """What must run for one topology alone, as `lab up` brings it up.

    `faults` are those that it has to be prepared for; `lab up` knows none.
    """
    services = {topology.name: dict(topology.services)}
    return _prepared(_deployment({topology.name: topology}, services), faults)


def _prepared(deployment: Deployment, faults: Iterable[object]) -> Deployment:
    """With what these faults need in place from the beginning."""
    known = list(faults)
    ends = (fault.intercepts(deployment) for fault in known if isinstance(fault, Intercepting))
    instances = (fault.resolves(deployment) for fault in known if isinstance(fault, Resolving))
    clocks = (fault.skews(deployment) for fault in known if isinstance(fault, Skewing))
    return replace(
        deployment,
        skewed=frozenset(chain.from_iterable(clocks)),
        intercepted=frozenset(chain.from_iterable(ends)),
        resolving=frozenset(chain.from_iterable(instances)),
    )


def _deployment(
    topologies: Mapping[str, Topology], services: Mapping[str, dict[str, Service]]
) -> Deployment:
    instances: dict[str, Instance] = {}
    ends: dict[str, LinkEnd] = {}
    for design, by_name in services.items():
        for service in by_name.values():
            for instance in _replicas(design, service):
                instances.setdefault(instance.name, instance)
        for end in _ends(design, topologies[design], by_name):
            ends.setdefault(end.name, end)
    return Deployment(
        tuple(services), dict(topologies), tuple(instances.values()), tuple(ends.values())
    )


def _replicas(design: str, service: Service) -> Iterator[Instance]:
    for replica in range(1, service.replicas + 1):
        yield Instance("" if service.shared else design, service, replica)


def _ends(design: str, topology: Topology, services: Mapping[str, Service]) -> Iterable[LinkEnd]:
    for link in topology.all_links:
        servers = list(_replicas(design, services[link.server]))
        if link.client == CLIENT:
            clients = [(design, client_of(design))]
        else:
            clients = [(i.design, i.name) for i in _replicas(design, services[link.client])]
        for owner, client in clients:
            for server in servers:
                if client != server.name:
                    yield LinkEnd(owner, link, client, server)


def _matches(end: LinkEnd, target: str, found: Found) -> bool:
    client, server, port = ends_of_link(target)
    return (
        _is_end(client, end.client, end.link.client, end.client_host, found)
        and _is_end(server, end.server.name, end.link.server, end.server.host, found)
        and port in ("", str(end.link.port))
    )


def _is_end(word: str, name: str, service: str, host: str, found: Found) -> bool:
    """An end of a link is a name or a selection, and never a pattern."""
    if parse_selection(word):
        return means(word, name, service, host, found)
    return word in (service, host)
