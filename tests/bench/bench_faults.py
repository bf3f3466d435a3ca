"""How long after its planned moment a fault is in force, by kind and engine.

    python -m tests.bench.bench_faults          about 4 min with Docker

Each kind is injected five times into the shop. *ordered* is when the order was given, *confirmed*
when whoever carries it out said that it is done, *seen* when the first probe that met it was sent.
The peer is `docker exec` of a command that does nothing: what tools cost that enter a container
when the fault is due.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from lab.engines import Cluster
from lab.engines.docker.cluster import DockerCluster
from lab.faults import refusal
from lab.faults.base import Fault
from lab.loading import find_topology, load_topology
from lab.plan import deploy_topology
from tests.contract.engines import up_on
from tests.contract.on_time import Delays, measure
from tests.contract.test_faults import CASES, LINK, PROJECT

TIMES = 5
PEER_TIMES = 10


def fresh() -> dict[str, Fault]:
    """The cases as new values: some keep their tasks, which belong to one event loop."""
    return {name: fault.model_copy(deep=True) for name, fault in CASES.items()}


def median_ms(values: list[float | None]) -> str:
    """In ms; a dash where nothing was seen."""
    there = [value for value in values if value is not None]
    return f"{statistics.median(there) * 1000:.1f}" if there else "-"


async def bench(engine: str) -> dict[str, list[Delays]]:
    """Every kind that this engine hosts."""
    topology = load_topology(find_topology("shop", PROJECT), "shop")
    found: dict[str, list[Delays]] = {}
    with tempfile.TemporaryDirectory() as out:
        async with up_on(engine, deploy_topology(topology, CASES.values()), Path(out)) as cluster:
            peer_s = await exec_s(cluster)
            print(f"\n{engine}: ms after plan, median of {TIMES}")
            print(f"{'fault':28} {'ordered':>8} {'confirmed':>10} {'seen':>8}")
            (end,) = cluster.deployment.ends_of(LINK)
            for name, fault in sorted(fresh().items()):
                if refusal(fault, cluster):
                    continue
                found[name] = [await measure(cluster, fault, end) for _ in range(TIMES)]
                ordered = median_ms([d.ordered_s for d in found[name]])
                confirmed = median_ms([d.confirmed_s for d in found[name]])
                seen = median_ms([d.seen_s for d in found[name]])
                print(f"{name:28} {ordered:>8} {confirmed:>10} {seen:>8}", flush=True)
            if peer_s:
                report(peer_s, found)
    return found


async def exec_s(cluster: Cluster) -> float:
    """Seconds of one `docker exec true`, the median; 0 where there are no containers."""
    if not isinstance(cluster, DockerCluster):
        return 0.0
    container = cluster._handles.containers["lab/agent"]
    took = []
    for _ in range(PEER_TIMES):
        began_s = time.monotonic()
        await asyncio.to_thread(
            subprocess.run, ["docker", "exec", container, "true"], check=True, capture_output=True
        )
        took.append(time.monotonic() - began_s)
    return statistics.median(took)


def report(peer_s: float, found: dict[str, list[Delays]]) -> None:
    """The peer, and how many times sooner a partition and a latency are in force."""
    print(f"\ndocker exec of a command that does nothing: {peer_s * 1000:.0f} ms")
    ratios = {
        name: peer_s / statistics.median(d.confirmed_s for d in found[name])
        for name in ("partition", "latency")
    }
    for name, ratio in ratios.items():
        print(f"{name}: in force {ratio:.1f} times sooner")
    if path := os.environ.get("BENCH_JSON"):
        keys = {f"faults.{name}.ratio_vs.docker_exec": ratio for name, ratio in ratios.items()}
        Path(path).write_text(json.dumps(keys))


if __name__ == "__main__":
    for one in ("docker", "local"):
        asyncio.run(bench(one))
