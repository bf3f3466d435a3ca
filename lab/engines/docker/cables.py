"""Containers without their network: an agent in the namespace of each drops all its packets.

The agent waits ready from the first look on, so that a pulled cable is on time. A container that
starts again has a new namespace, without rules: it then gets a new agent, and its cable is pulled
again before anything waits for it to be ready. Rules end with the namespace that they are in.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from lab.engines import State
from lab.engines.docker.hands import Agent
from lab.engines.docker.packets import Packets
from lab.errors import EngineError
from lab.plan import Instance, LinkEnd

StartAgent = Callable[[Instance, int], Awaitable[Agent]]
"""Starts the so-manyth agent in the namespace that an instance has now."""
Look = Callable[[Instance], Awaitable[State]]

_LIVES = ("running", "paused")


class Cables:
    """The agents beside instances, and whose cables are pulled in whose names.

    Args:
        start: starts an agent.
        look: what an instance is doing now.
        spared: addresses from which and to which packets still pass.
    """

    def __init__(self, start: StartAgent, look: Look, spared: Sequence[str]) -> None:
        self._start = start
        self._look = look
        self._spared = list(spared)
        self._agents: dict[str, tuple[State, Agent]] = {}  # with the life it belongs to
        self._pulled: defaultdict[str, set[str]] = defaultdict(set)
        self._started: defaultdict[str, int] = defaultdict(int)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def pull(self, instance: Instance, why: str) -> None:
        """Pull it; one that does not run is pulled when it starts."""
        async with self._turns[instance.name]:
            self._pulled[instance.name].add(why)
            # Whoever looked before has made ready: no question to the daemon comes first.
            _, agent = self._agents.get(instance.name, (None, None))
            if agent is None or agent.has_ended:
                agent = await self._ready(instance)
            if agent:
                await agent.order("pull", why=why, spared=self._spared)

    async def put_back(self, instance: Instance, why: str) -> None:
        """Put it back, in that name."""
        async with self._turns[instance.name]:
            self._pulled[instance.name].discard(why)
            if instance.name in self._agents and (agent := await self._ready(instance)):
                await agent.order("put_back", why=why, spared=self._spared)

    async def pulled(self, instance: Instance) -> list[str]:
        """In whose names it is, as the kernel has it."""
        async with self._turns[instance.name]:
            agent = await self._ready(instance)
            return list(await agent.order("pulled")) if agent else []

    async def again(self, instance: Instance) -> None:
        """It has started: pull again what was pulled."""
        if self._pulled[instance.name]:
            async with self._turns[instance.name]:
                await self._ready(instance)

    async def residue(self, instances: Sequence[Instance]) -> list[str]:
        """Instances whose cables are pulled, in words."""
        return [
            f"{instance.name}: its network is unplugged ({', '.join(whys)})"
            for instance in instances
            if instance.name in self._agents and (whys := await self.pulled(instance))
        ]

    async def close(self) -> None:
        """Let the agents go."""
        await asyncio.gather(*(agent.close() for _, agent in self._agents.values()))

    async def _ready(self, instance: Instance) -> Agent | None:
        """The agent in the namespace of its present life, with all pulled; None if it has none."""
        state = await self._look(instance)
        if state.status not in _LIVES:
            return None
        before, agent = self._agents.get(instance.name, (State("missing"), None))
        if agent and before.started_s == state.started_s and not agent.has_ended:
            return agent
        if agent:
            await agent.close()
        self._started[instance.name] += 1
        try:
            agent = await self._start(instance, self._started[instance.name])
            self._agents[instance.name] = (state, agent)
            await agent.order("tend")
            for why in sorted(self._pulled[instance.name]):
                await agent.order("pull", why=why, spared=self._spared)
        except EngineError:
            if (await self._look(instance)).started_s == state.started_s:
                raise
            return None  # it ended meanwhile, and its namespace with it
        return agent


class Unplugging(Packets):
    """`lab.engines.Unpluggable`."""

    _cables: Cables

    async def unplug(self, instance: Instance, why: str) -> None:
        """Pull its cable, and cut its links in front of their proxies.

        A proxy would accept for a server that is not there, and then dial it in vain: for seconds
        after the cable is back it would do nothing else.
        """
        ends = self._ends_of(instance)
        await asyncio.gather(self.cut(ends, why=why), self._cables.pull(instance, why))

    async def plug(self, instance: Instance, why: str) -> None:
        """Put it back, in that name."""
        await self._cables.put_back(instance, why)
        await self.mend(self._ends_of(instance), why=why)

    def _ends_of(self, instance: Instance) -> list[LinkEnd]:
        deployment = self.deployment
        return [*deployment.ends_into(instance), *deployment.ends_out_of(instance.name)]

    async def unplugged(self, instance: Instance) -> Sequence[str]:
        """In whose names its packets are dropped, as its kernel has it."""
        return await self._cables.pulled(instance)

    async def reaches(self, instance: Instance, timeout_s: float) -> bool:
        """Whether it answers an echo, or connecting to a port that a link leads to."""
        found = await self._agent.order(
            "reaches",
            address=str(self.layout.containers[instance.name]),
            ports=sorted({end.link.port for end in self.deployment.ends_into(instance)}),
            timeout_s=timeout_s,
        )
        return bool(found["echo"] or found["tcp"])
