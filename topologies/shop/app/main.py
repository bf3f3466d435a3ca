"""A shop with 20 workers. Browsing needs nobody else; buying asks the inventory service.

A request holds its worker until it is answered, as in every thread- or process-per-request server.

TIMEOUT          how long to wait for the inventory, like 500ms, or none
INVENTORY_SLOTS  how many workers may wait for it at once, or none
INVENTORY        where it is; http://inventory:8000 when not set
CA               file with the authority that its certificate must be from. Every purchase then
                 makes a connection of its own, so that each one looks at the certificate
"""

from __future__ import annotations

import asyncio
import ssl
from os import environ

import httpx
from labkit import Slots, count, count_if_wasted, seconds, service
from labkit.slots import SHED
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

PAGE_S = 0.010
WORKERS = 20

workers = Slots(WORKERS)
inventory_slots = asyncio.Semaphore(count("INVENTORY_SLOTS") or WORKERS)
_ca = environ.get("CA")
inventory = httpx.AsyncClient(
    base_url=environ.get("INVENTORY", "http://inventory:8000"),
    timeout=seconds("TIMEOUT"),
    verify=ssl.create_default_context(cafile=_ca) if _ca else True,
    limits=httpx.Limits(max_connections=100, max_keepalive_connections=0 if _ca else 20),
)


async def browse(request: Request) -> Response:
    """A page of the catalogue: ten milliseconds of work, no other service."""
    async with workers:
        await asyncio.sleep(PAGE_S)
    await count_if_wasted(request)
    return PlainTextResponse("a page\n")


async def buy(request: Request) -> Response:
    """Reserve an item; without the inventory's word there is no sale."""
    async with workers:
        await asyncio.sleep(PAGE_S)
        if inventory_slots.locked():
            SHED.inc()
            return PlainTextResponse("inventory is busy\n", status_code=503)
        async with inventory_slots:
            try:
                answer = await inventory.post(f"/reserve/{request.path_params['item']}")
            except httpx.HTTPError as error:
                return PlainTextResponse(f"{type(error).__name__}: {error}\n", status_code=503)
    await count_if_wasted(request)
    return PlainTextResponse(answer.text, status_code=answer.status_code)


app = service(Route("/browse/{item}", browse), Route("/buy/{item}", buy, methods=["POST"]))
