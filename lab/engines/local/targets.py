"""What the collector scrapes: the same parts, under the same labels, as Prometheus in Docker.

Targets are real addresses, so no fault on a link hides what an instance says about itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lab.engines.local.collector.target import Target
from lab.engines.local.layout import DRIVER_PORT, Layout
from lab.errors import EngineError
from lab.plan import Deployment, Instance, client_of


def targets(deployment: Deployment, layout: Layout, *, drivers: bool) -> list[Target]:
    """Every service that says where its metrics are, and the load drivers."""
    found = [target for i in deployment.instances for target in _service(i, layout)]
    if drivers:
        found += [_driver(design, layout) for design in deployment.designs]
    return found


def _service(instance: Instance, layout: Layout) -> Iterator[Target]:
    scrape = instance.service.scrape
    if scrape is None:
        return
    host, port = layout.real(layout.instances[instance.name], scrape.port)
    target = Target(
        instance.name, host, port, design=instance.design, service=instance.service.name
    )
    environment = instance.service.environment
    user = environment.get("POSTGRES_USER", "postgres")
    match scrape.exporter:
        case None:
            yield replace(target, path=scrape.path)
        case "postgres":
            yield replace(
                target,
                kind="postgres",
                user=user,
                password=environment.get("POSTGRES_PASSWORD", ""),
                database=environment.get("POSTGRES_DB", user),
            )
        case "redis":
            yield replace(target, kind="redis")
        case other:
            raise EngineError(
                f"no exporter `{other}` for {instance.service.name}", remedy="use postgres or redis"
            )


def _driver(design: str, layout: Layout) -> Target:
    """The lab's own metrics say themselves which design they are about."""
    name = client_of(design)
    host, port = layout.real(layout.instances[name], DRIVER_PORT)
    return Target(name, host, port, design=design, service="client", honor_labels=True)
