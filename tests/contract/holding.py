"""An orchestrator in the middle of a fault, for tests that end it.

    python -m tests.contract.holding ENGINE RUN_ID OUT CASE

It brings the shop up, injects the case of `test_faults.CASES`, says `bit` and what it measured, and
holds it for ever.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lab.clock import Clock
from lab.experiment import ScheduledFault
from lab.faults import Injection
from lab.loading import find_topology, load_topology
from lab.plan import deploy_topology
from lab.record import FaultRecord
from tests.contract.engines import up_on
from tests.contract.test_faults import CASES, PROJECT, buyers

FOR_EVER_S = 3600.0


def told(record: FaultRecord, stage: str) -> None:
    """What the test waits for."""
    if stage in ("bit", "problem"):
        word = "bit" if record.bit else "problem"
        print(f"{word}: {record.during or record.after}", flush=True)


async def hold(engine: str, run_id: str, out: Path, case: str) -> None:
    """Until killed."""
    topology = load_topology(find_topology("shop", PROJECT), "shop")
    async with up_on(
        engine, deploy_topology(topology, [CASES[case]]), out, run_id=run_id
    ) as cluster:
        scheduled = ScheduledFault(fault=CASES[case], at_s=0.0, for_s=FOR_EVER_S, name="held")
        async with buyers(CASES[case], cluster):
            await Injection(scheduled, cluster, Clock.starting_in(0), told).run()


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]))
