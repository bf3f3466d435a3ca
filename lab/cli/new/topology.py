"""A new topology: a web service of twenty lines and the store that it needs, with a link between.

It runs on both engines: the images that it names are pulled or built on Docker, and known to the
local engine.
"""

from __future__ import annotations

_COMPOSE = """\
# A Compose file is a topology. `x-lab` says what Compose cannot: which connections there are (each
# one can be broken alone), where load arrives, and where metrics are.
services:
  web:
    build: {context: app}
    environment: {STORE: "redis://store:6379/0"}
    depends_on: {store: {condition: service_healthy}}
    healthcheck: {test: [CMD, python3, ready.py], interval: 500ms, retries: 40}
    deploy: {resources: {limits: {cpus: "1", memory: 256M}}}
  store:
    image: valkey/valkey:8.1
    healthcheck: {test: [CMD, valkey-cli, ping], interval: 500ms, retries: 40}
    deploy: {resources: {limits: {cpus: "1", memory: 128M}}}

x-lab:
  entry: web:8000
  links: ["web -> store:6379"]
  metrics: {web: 8000, store: redis}
"""

_DOCKERFILE = """\
FROM chaos-lab/python
WORKDIR /app
COPY . .
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]
"""

_MAIN = '''\
"""NAME: counts its visitors in a store."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

VISITS = Counter("app_visits", "Visitors that were counted.")
store = Redis.from_url(os.environ["STORE"])


async def visit(_request: Request) -> Response:
    """One visitor more."""
    number = await store.incr("visits")
    VISITS.inc()
    return PlainTextResponse(f"visitor {number}\\n")


async def metrics(_request: Request) -> Response:
    """For Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


app = Starlette(routes=[Route("/", visit), Route("/metrics", metrics)])
'''


_READY = '''\
"""Whether the service answers; it is ready when it does."""

import urllib.request

urllib.request.urlopen("http://127.0.0.1:8000/metrics", timeout=1)
'''


def topology_files(name: str) -> dict[str, str]:
    """Texts by path in the topology's folder."""
    return {
        "compose.yaml": _COMPOSE,
        "app/Dockerfile": _DOCKERFILE,
        "app/ready.py": _READY,
        "app/main.py": _MAIN.replace("NAME", name),
    }
