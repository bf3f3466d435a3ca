"""A server with a declared capacity: SLOTS / SERVICE_TIME, behind a queue.

It finishes what it took on even if the caller has left meanwhile: it finds out only at the end.
"""

from __future__ import annotations

import asyncio

from labkit import Slots, count, count_if_wasted, seconds, service
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

SERVICE_S = seconds("SERVICE_TIME") or 0.0
slots = Slots(count("SLOTS") or 1, count("QUEUE_CAP"))


async def work(request: Request) -> Response:
    """One unit of work, once a slot is free."""
    async with slots:
        await asyncio.sleep(SERVICE_S)
    await count_if_wasted(request)
    return PlainTextResponse("done\n")


app = service(Route("/work", work))
