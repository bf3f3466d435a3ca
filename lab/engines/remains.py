"""What is left of a run, in words: after healing, and after taking down."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from lab.engines import Cluster, Say
from lab.errors import EngineError

GONE = "its server is gone"
"""Why an engine disables a proxy; a fault that refuses connections has a reason of its own."""


async def residue(cluster: Cluster, cut: Collection[str], jobs: Collection[str]) -> list[str]:
    """What is not as it was when a cluster came up.

    Args:
        cluster: is asked for toxics, disabled proxies and the states of its instances.
        cut: names of the link ends that are cut.
        jobs: instances that end when their work is done.
    """
    deployment = cluster.deployment
    ends = {end.proxy: end.name for end in deployment.ends}
    toxics, disabled, states = await asyncio.gather(
        cluster.proxies.toxics(),
        cluster.proxies.disabled(),
        asyncio.gather(*(cluster.state(instance) for instance in deployment.instances)),
    )
    found = [
        f"{ends.get(proxy, proxy)}: toxic {toxic.name} ({toxic.kind})"
        for proxy, on_it in toxics.items()
        for toxic in on_it
    ]
    found += [f"{ends.get(proxy, proxy)}: its proxy is disabled" for proxy in disabled]
    found += [f"{end.name}: it is cut" for end in deployment.ends if end.name in cut]
    return found + [
        f"{instance.name}: {state.status}"
        for instance, state in zip(deployment.instances, states, strict=True)
        if state.status != "running" and instance.name not in jobs
    ]


def tell(run_id: str, troubles: Sequence[str], say: Say, *, failing: bool) -> None:
    """Say what could not be taken down, if anything.

    Raises:
        EngineError: something could not, and no other error is already on its way.
    """
    if not troubles:
        return
    text = f"run {run_id} could not be taken down cleanly: {'; '.join(troubles)}"
    if not failing:
        raise EngineError(text, remedy=f"lab clean --run {run_id}")
    say(text)
