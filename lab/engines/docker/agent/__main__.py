"""`python -m agent [guest]`: reads orders from stdin until it ends.

A guest is in the namespace of a service, and listens on nothing there. `python -m agent offers`
says what the kernel offers, and ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from . import METRICS_PORT
from .agent import Agent
from .offers import offers


async def main() -> None:
    """Read orders until stdin ends; each is carried out on its own, so none waits for a probe."""
    agent = Agent()
    if "guest" not in sys.argv[1:]:
        await asyncio.start_server(agent.serve_metrics, "0.0.0.0", METRICS_PORT)
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    under_way: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(agent.carry_out(json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    os._exit(0)  # at once: whoever gave orders is gone


if __name__ == "__main__":
    if sys.argv[1:] == ["offers"]:
        print(json.dumps(asyncio.run(offers())))
    else:
        asyncio.run(main())
