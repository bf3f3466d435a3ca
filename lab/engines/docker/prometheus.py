"""Prometheus of a run: what it scrapes, every second, and reading the samples back.

Targets are real addresses, so no fault on a link hides what an instance says about itself; a
missing scrape is then a fact about the instance.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from lab.engines.docker.agent import METRICS_PORT
from lab.engines.docker.layout import POSTGRES_EXPORTER, PROMETHEUS, PROXY, REDIS_EXPORTER, Layout
from lab.errors import EngineError
from lab.history import Sample
from lab.plan import Deployment, Instance, client_of

IMAGE = "prom/prometheus:v2.53.3"
POSTGRES_IMAGE = "quay.io/prometheuscommunity/postgres-exporter:v0.17.1"
REDIS_IMAGE = "oliver006/redis_exporter:v1.69.0"
PORT = 9090
POSTGRES_EXPORTER_PORT = 9187
REDIS_EXPORTER_PORT = 9121
PROXY_PORT = 8474
DRIVER_PORT = 9464
CONFIG_PATH = "/etc/prometheus/prometheus.yml"
RULES_PATH = "/etc/prometheus/rules.yaml"
AUTH_PATH = "/etc/postgres_exporter.yml"
_READ_S = 20.0
_STARTS_S = 30.0
_RETRY_S = 0.05

COMMAND = (
    f"--config.file={CONFIG_PATH}",
    "--storage.tsdb.path=/prometheus",
    "--storage.tsdb.retention.time=1d",
    f"--web.listen-address=0.0.0.0:{PORT}",
)
REDIS_COMMAND = ("--redis.addr=",)  # no server of its own: each scrape names one
POSTGRES_COMMAND = (
    f"--config.file={AUTH_PATH}",
    # A second has little room: what charts and claims read, and not the size of every relation.
    "--disable-settings-metrics",
    "--no-collector.replication_slot",
    "--no-collector.stat_user_tables",
    "--no-collector.statio_user_indexes",
    "--no-collector.statio_user_tables",
    "--no-collector.wal",
)


def config(
    deployment: Deployment, layout: Layout, *, drivers: bool, agent: bool, rules: bool = False
) -> str:
    """prometheus.yml, as JSON, which is YAML; with `rules` it also evaluates those."""
    services = [t for i in deployment.instances for t in _service_target(i, layout)]
    lab = [
        _target(layout, PROMETHEUS, PORT, PROMETHEUS),
        _target(layout, PROXY, PROXY_PORT, PROXY),
    ]
    if agent:  # it shares the proxy's network namespace
        lab.append(_target(layout, PROXY, METRICS_PORT, "lab"))
    if drivers:
        lab += [
            _target(layout, client_of(d), DRIVER_PORT, client_of(d), design=d, service="client")
            for d in deployment.designs
        ]
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    jobs = [
        {"job_name": "services", "static_configs": services},
        # The lab's own metrics say themselves which design they are about.
        {"job_name": "lab", "honor_labels": True, "static_configs": lab},
    ]
    files = {"rule_files": [RULES_PATH]} if rules else {}
    return json.dumps({"global": every, **files, "scrape_configs": jobs}, indent=1)


def postgres_auth(deployment: Deployment) -> str:
    """postgres_exporter.yml: how to log in at each PostgreSQL, by the instance's name."""
    modules = {
        _module(instance): {
            "type": "userpass",
            "userpass": {"username": _user(instance), "password": _password(instance)},
            "options": {"sslmode": "disable"},
        }
        for instance in deployment.instances
        if instance.service.scrape and instance.service.scrape.exporter == "postgres"
    }
    return json.dumps({"auth_modules": modules}, indent=1)


def metrics_of(instance: Instance, layout: Layout) -> tuple[str, int, str] | None:
    """Address, port and path at which an instance's metrics are; None when it has none."""
    for target in _service_target(instance, layout):
        labels = target["labels"]
        address, _, port = target["targets"][0].rpartition(":")
        mark = "__param_"
        asked = {k.removeprefix(mark): v for k, v in labels.items() if k.startswith(mark)}
        query = f"?{urlencode(asked)}" if asked else ""
        return address, int(port), f"{labels['__metrics_path__']}{query}"
    return None


def _service_target(instance: Instance, layout: Layout) -> Iterator[dict[str, Any]]:
    scrape = instance.service.scrape
    if scrape is None:
        return
    names = {"design": instance.design, "service": instance.service.name}
    address = f"{layout.containers[instance.name]}:{scrape.port}"
    match scrape.exporter:
        case None:
            yield _target(
                layout,
                instance.name,
                scrape.port,
                instance.name,
                **names,
                __metrics_path__=scrape.path,
            )
        case "postgres":
            database = instance.service.environment.get("POSTGRES_DB", _user(instance))
            yield _target(
                layout,
                POSTGRES_EXPORTER,
                POSTGRES_EXPORTER_PORT,
                instance.name,
                **names,
                __metrics_path__="/probe",
                __param_target=f"{address}/{database}",
                __param_auth_module=_module(instance),
            )
        case "redis":
            yield _target(
                layout,
                REDIS_EXPORTER,
                REDIS_EXPORTER_PORT,
                instance.name,
                **names,
                __metrics_path__="/scrape",
                __param_target=f"redis://{address}",
            )
        case other:
            raise EngineError(
                f"no exporter `{other}` for {instance.service.name}", remedy="use postgres or redis"
            )


def _target(
    layout: Layout, container: str, port: int, instance: str, **labels: str
) -> dict[str, Any]:
    address = f"{layout.containers[container]}:{port}"
    return {"targets": [address], "labels": {"instance": instance, **labels}}


def _module(instance: Instance) -> str:
    return instance.name.replace("/", ".")


def _user(instance: Instance) -> str:
    return instance.service.environment.get("POSTGRES_USER", "postgres")


def _password(instance: Instance) -> str:
    # The exporter insists on one, also where the server trusts everybody and asks for none.
    return instance.service.environment.get("POSTGRES_PASSWORD") or "none"


class Prometheus:
    """Reads a Prometheus server's HTTP API."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=_READ_S, trust_env=False)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def ready(self) -> None:
        """Wait until it answers.

        Raises:
            EngineError: it does not, within a time that is ample for an empty one.
        """
        try:
            async with asyncio.timeout(_STARTS_S):
                while True:
                    try:
                        if (await self._client.get("/-/ready")).status_code == 200:
                            return
                    except httpx.TransportError:
                        pass
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            raise EngineError(f"Prometheus was not ready within {_STARTS_S:.0f} s") from None

    async def version(self) -> str:
        """The server's version."""
        return str((await self._ask("/api/v1/status/buildinfo"))["version"])

    async def samples(
        self, start_unix_s: float, end_unix_s: float, names: Collection[str]
    ) -> list[Sample]:
        """The raw scraped values, with the time of their scrape, in order of time."""
        if not names:
            return []
        selector = "|".join(sorted(names))
        span_ms = max(1, round((end_unix_s - start_unix_s) * 1000))
        query = f'{{__name__=~"{selector}"}}[{span_ms}ms]'
        # A range selector, not a range query: it gives every scrape once, and nothing made up
        # between two of them.
        answer = await self._ask("/api/v1/query", query=query, time=f"{end_unix_s:.3f}")
        samples = [s for series in answer["result"] for s in _series(series)]
        return sorted(samples, key=lambda sample: sample.at_s)

    async def _ask(self, path: str, **params: str) -> Any:
        try:
            # A form, because names of many metrics do not fit into a URL.
            send = self._client.post(path, data=params) if params else self._client.get(path)
            answer = (await send).json()
        except (httpx.HTTPError, ValueError) as error:
            raise EngineError(f"Prometheus does not answer: {error!r}") from error
        if answer.get("status") != "success":
            raise EngineError(f"Prometheus refused: {answer.get('error')}")
        return answer["data"]


def _series(series: Mapping[str, Any]) -> Iterator[Sample]:
    labels = dict(series["metric"])
    name, design = labels.pop("__name__"), labels.pop("design", "")
    instance = labels.pop("instance", "")
    for dropped in ("job", "service"):
        labels.pop(dropped, None)
    rest = tuple(sorted(labels.items()))
    for at_s, text in series["values"]:
        value = float(text)
        if not math.isnan(value):
            yield Sample(float(at_s), design, instance, name, rest, value)
