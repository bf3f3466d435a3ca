"""Names that services look up by DNS, answered by the network agent, and answered wrongly.

    service -> 127.0.0.11 (Docker's resolver, in its container) -> the agent, at the proxy's address

Only for the instances that a fault of the experiment names: all others have a hosts file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

from lab.engines.abilities import Answer, Spoiling
from lab.engines.docker.hands import Agent
from lab.engines.docker.layout import Layout, hosts_of
from lab.errors import InjectionError
from lab.plan import Deployment, Instance

RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP")
"""The first codes of RFC 1035, 4.1.1, by their usual names."""


def zone_of(instance: Instance, deployment: Deployment, layout: Layout) -> dict[str, list[str]]:
    """The names that an instance may look up, in lower case, with their addresses."""
    zone: dict[str, list[str]] = defaultdict(list)
    for line in hosts_of(instance.name, instance.design, deployment, layout):
        host, _, address = line.partition(":")
        zone[host.lower()].append(address)
    return dict(zone)


async def serve(agent: Agent, deployment: Deployment, layout: Layout, at: str) -> None:
    """Let the agent answer for those that have no hosts file, if any, at the proxy's address."""
    zones = {
        str(layout.containers[name]): zone_of(deployment.instance(name), deployment, layout)
        for name in sorted(deployment.resolving)
    }
    if zones:
        await agent.order("serve_names", host=at, zones=zones)


class Naming:
    """`lab.engines.Resolvable`."""

    deployment: Deployment
    layout: Layout
    _agent: Agent

    async def spoil_names(
        self, instances: Sequence[Instance], name: str, why: str, spoiling: Spoiling
    ) -> None:
        """Answer these instances' questions for a name wrongly."""
        if strangers := [i.name for i in instances if i.name not in self.deployment.resolving]:
            raise InjectionError(
                f"{', '.join(strangers)} finds names in its hosts file and asks nobody",
                remedy="DNS is there for the faults of an experiment, and not by `lab up`",
            )
        wrong = asdict(spoiling)
        stale = wrong.pop("stale")
        wrong["rcode"] = None if spoiling.rcode is None else RCODES.index(spoiling.rcode)
        wrong["addresses"] = [str(self.layout.nobody)] if stale else None
        clients = [str(self.layout.containers[instance.name]) for instance in instances]
        await self._agent.order(
            "spoil_names", clients=clients, name=name.lower(), why=why, spoiling=wrong
        )

    async def mend_names(self, instances: Sequence[Instance], name: str, why: str) -> None:
        """Answer them rightly."""
        clients = [str(self.layout.containers[instance.name]) for instance in instances]
        await self._agent.order("mend_names", clients=clients, name=name.lower(), why=why)

    async def look_up(self, instance: Instance, name: str, timeout_s: float) -> Answer:
        """Ask the agent's server as the instance does; it knows by the question for whom."""
        client = str(self.layout.containers[instance.name])
        found = await self._agent.order("ask_name", client=client, name=name, timeout_s=timeout_s)
        rcode = None if found["rcode"] is None else RCODES[found["rcode"]]
        right = zone_of(instance, self.deployment, self.layout).get(name.lower(), [])
        is_right = rcode == "NOERROR" and sorted(found["addresses"]) == sorted(right)
        return Answer(rcode, tuple(found["addresses"]), is_right, found["seconds"])

    async def lookups(self, instances: Sequence[Instance], name: str, why: str) -> tuple[int, int]:
        """Look-ups of a name by these instances since they are up: all, and those hit by `why`."""
        clients = [str(self.layout.containers[instance.name]) for instance in instances]
        asked, hit = await self._agent.order(
            "names_asked", clients=clients, name=name.lower(), why=why
        )
        return asked, hit

    async def spoilt_names(self) -> list[str]:
        """What is answered wrongly, in words, each beginning with the instance's name."""
        if not self.deployment.resolving:
            return []
        owners = {str(address): name for name, address in self.layout.containers.items()}
        return [
            f"{owners[client]}: its questions for {name} are answered wrongly"
            for client, name in await self._agent.order("spoilt_names")
        ]
