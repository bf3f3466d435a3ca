"""Servers with data: a PostgreSQL, and a Valkey with a standby; and the faults tried on them."""

from __future__ import annotations

from lab.faults import KINDS
from lab.faults.base import Fault
from lab.plan import Deployment, deploy_topology
from lab.topology import Healthcheck, Link, Service, Topology
from tests.contract import tiny

_PING = Healthcheck(("CMD", "valkey-cli", "ping"), interval_s=1, timeout_s=2, retries=20)
_ISREADY = ("CMD", "pg_isready", "-h", "127.0.0.1", "-U", "postgres")
TRUST = {"POSTGRES_HOST_AUTH_METHOD": "trust"}


def postgres(name: str, **changes: object) -> Service:
    """A PostgreSQL that trusts everybody."""
    values: dict[str, object] = {
        "image": "postgres:17",
        "environment": TRUST,
        "healthcheck": Healthcheck(_ISREADY, interval_s=1, timeout_s=2, retries=60),
    }
    return Service(name, **{**values, **changes})  # type: ignore[arg-type]


def valkey(name: str, *arguments: str, **changes: object) -> Service:
    """A Valkey with these arguments."""
    return Service(
        name,
        image="valkey/valkey:8.1",
        command=("valkey-server", "--save", "", *arguments),
        healthcheck=_PING,
        **changes,  # type: ignore[arg-type]
    )


def deployment(*services: Service, links: tuple[Link, ...] = ()) -> Deployment:
    """These servers, and the tiny app as the entry."""
    app = Service("app", image=tiny.IMAGE, command=("python", "-u", "-c", tiny.APP))
    named = {service.name: service for service in (app, *services)}
    return deploy_topology(Topology("data", named, links, Link("client", "app", 8000)))


CASES: dict[str, Fault] = {
    "sql": KINDS["sql"].model_validate(
        {
            "service": "db",
            "run": "create table marked (x int); insert into marked values (1)",
            "check": "select to_regclass('marked') is not null",
            "undo": "drop table if exists marked",
        }
    ),
    "long_transaction": KINDS["long_transaction"].model_validate({"service": "db"}),
    "signal": KINDS["signal"].model_validate({"service": "db"}),
}
LASTING: dict[str, Fault] = {"promote": KINDS["promote"].model_validate({"service": "copy"})}
"""Faults that stay by design."""
