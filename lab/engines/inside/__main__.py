"""`python -m inside`: reads orders from stdin until it ends; what it holds is then given back."""

from __future__ import annotations

import asyncio
import json
import sys

from .inside import Inside


async def main() -> None:
    """Each order is carried out on its own, so that none waits for another."""
    inside = Inside()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    under_way: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(inside.carry_out(json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await inside.release_all()


if __name__ == "__main__":
    asyncio.run(main())
