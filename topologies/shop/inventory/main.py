"""The inventory: five milliseconds per reservation, and never short of anything."""

from __future__ import annotations

import asyncio

from labkit import failpoint, service
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

RESERVE_S = 0.005


async def reserve(request: Request) -> Response:
    """Reserve one item."""
    await failpoint("reserving")
    await asyncio.sleep(RESERVE_S)
    return PlainTextResponse(f"reserved {request.path_params['item']}\n")


app = service(Route("/reserve/{item}", reserve, methods=["POST"]))
