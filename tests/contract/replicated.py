"""Systems in which one leads and others follow, small and quick, for tests of who is who."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from lab.engines.docker.cluster import DockerCluster
from lab.engines.local.tools import valkey_cli
from lab.plan import Deployment, Instance, deploy_topology
from lab.topology import File, Healthcheck, Link, Scrape, Service, Topology

MEMBERS = 3
_REPLICATION = "echo 'host replication all all trust' >>\"$PGDATA/pg_hba.conf\"\n"
_AS_POSTGRES = "setpriv --reuid=postgres --regid=postgres --init-groups"
_COPY = f"""
until pg_isready -h db -q; do sleep 0.1; done
install -d -o postgres -m 700 "$PGDATA"
{_AS_POSTGRES} pg_basebackup -h db -U postgres -D "$PGDATA" -R -X stream
exec {_AS_POSTGRES} postgres
"""


def etcd() -> Deployment:
    """Three members of etcd that talk over links."""
    member = Service(
        "etcd",
        image="chaos-lab/etcd",
        environment={"MEMBERS": str(MEMBERS), "ETCD_UNSAFE_NO_FSYNC": "true"},
        healthcheck=_check("etcdctl", "endpoint", "health"),
        scrape=Scrape(2379),
        replicas=MEMBERS,
    )
    links = (Link("etcd", "etcd", 2380),)
    topology = Topology("three", {"etcd": member}, links, Link("client", "etcd", 2379))
    return deploy_topology(topology)


def valkey() -> Deployment:
    """A master and two copies of it, as two services."""
    master = Service(
        "kv",
        image="valkey/valkey:8.1",
        healthcheck=_check("valkey-cli", "ping"),
        scrape=Scrape(6379, exporter="redis"),
    )
    copy = Service(
        "kv-copy",
        image="valkey/valkey:8.1",
        command=("valkey-server", "--replicaof", "kv", "6379"),
        healthcheck=_check("valkey-cli", "ping"),
        scrape=Scrape(6379, exporter="redis"),
        replicas=2,
    )
    links = (Link("kv-copy", "kv", 6379),)
    services = {"kv": master, "kv-copy": copy}
    return deploy_topology(Topology("copies", services, links, Link("client", "kv", 6379)))


def postgres(scripts: Path) -> Deployment:
    """A primary and a streaming replica; `scripts` is a folder for the primary's init file."""
    script = scripts / "replication.sh"
    script.write_text(_REPLICATION)
    check = _check("pg_isready", "-h", "127.0.0.1", "-U", "postgres")
    primary = Service(
        "db",
        image="postgres:17",
        environment={"POSTGRES_HOST_AUTH_METHOD": "trust"},
        files=(File(script, "/docker-entrypoint-initdb.d/replication.sh"),),
        healthcheck=check,
        scrape=Scrape(5432, exporter="postgres"),
    )
    copy = Service(
        "db-copy",
        image="postgres:17",
        command=("sh", "-ec", _COPY),
        healthcheck=check,
        depends_on={"db": "service_healthy"},
        scrape=Scrape(5432, exporter="postgres"),
    )
    links = (Link("db-copy", "db", 5432),)
    services = {"db": primary, "db-copy": copy}
    return deploy_topology(Topology("streaming", services, links, Link("client", "db", 5432)))


def _check(*words: str) -> Healthcheck:
    return Healthcheck(("CMD", *words), interval_s=0.5, timeout_s=5, retries=60)


async def tell(cluster: Any, instance: Instance, *words: str) -> str:
    """Run a client's command beside a server: in its container, or at its own address."""
    if isinstance(cluster, DockerCluster):
        return await asyncio.to_thread(_tell_container, cluster, instance, words)
    port = instance.service.scrape.port if instance.service.scrape else 0
    host, real_port = cluster.layout.real(cluster.layout.instances[instance.name], port)
    assert words[0] == "valkey-cli"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-SE", valkey_cli.__file__, "-h", str(host), "-p", str(real_port)),
        *words[1:],
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


def _tell_container(cluster: Any, instance: Instance, words: tuple[str, ...]) -> str:
    api = cluster._daemon.api
    made = api.exec_create(cluster._handles.containers[instance.name], list(words))
    out = api.exec_start(made["Id"])
    assert api.exec_inspect(made["Id"])["ExitCode"] == 0, out
    return str(out.decode())
