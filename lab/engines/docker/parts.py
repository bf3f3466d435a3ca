"""The lab's own containers in a run: proxy, network agent, load drivers, Prometheus, exporters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import lab
from lab.engines import interception
from lab.engines.docker import grafana, prometheus
from lab.engines.docker.containers import (
    Config,
    archive,
    part_config,
    sized_volumes,
    talks,
)
from lab.engines.docker.layout import (
    GRAFANA,
    POSTGRES_EXPORTER,
    PROMETHEUS,
    PROXY,
    REDIS_EXPORTER,
    hosts_of,
    own_parts,
)
from lab.engines.docker.setting import Part, Setting
from lab.engines.inside.inside import CGROUPS
from lab.plan import Deployment, Instance, client_of

TOXIPROXY_IMAGE = "ghcr.io/shopify/toxiproxy:2.12.0"
TOOLBOX_IMAGE = "chaos-lab/toolbox"
AGENT = "lab/agent"
INSIDE = "lab/inside"
NETWORK = "lab/network"
CABLE = "lab/cable-"
"""Names of agents beside services start with this."""
ENTRY_PORT = 8475
INSTRUMENT_SHARES = 4096
"""CPU weight of drivers and proxy, four times that of a service (Docker's default is 1024)."""

_HOME = "/opt/lab"

# Raw sockets send packets once more, and are how iptables-legacy talks to kernels without
# nf_tables.
_NETWORK_RIGHTS: Config = {"CapDrop": ["ALL"], "CapAdd": ["NET_ADMIN", "NET_RAW"]}


def images_of(deployment: Deployment, *, drivers: bool, with_grafana: bool = False) -> list[str]:
    """References of the images that the lab's parts need."""
    own = own_parts(deployment, drivers=drivers)
    exporters = {
        POSTGRES_EXPORTER: prometheus.POSTGRES_IMAGE,
        REDIS_EXPORTER: prometheus.REDIS_IMAGE,
    }
    needed = [image for name, image in exporters.items() if name in own]
    needed += [grafana.IMAGE] if with_grafana else []
    return [TOXIPROXY_IMAGE, TOOLBOX_IMAGE, prometheus.IMAGE, *needed]


def network(setting: Setting, *, entry: bool) -> Part:
    """Holds the network namespace that proxy and agent share, and volumes that are in memory.

    Addresses of links and packet rules belong to the namespace, so they outlive a proxy that hangs.
    The host reaches the proxy's API, and with `entry` a way in for requests by hand.
    """
    ports = [prometheus.PROXY_PORT, *([ENTRY_PORT] if entry else [])]
    config = part_config(
        setting.images[TOOLBOX_IMAGE],
        "network",
        setting.labels,
        command=["sleep", "infinity"],
        host={
            **_published(*ports),
            "NetworkMode": setting.network,
            "Mounts": _held(setting),
            # One process that ends at once when asked to: the namespace's other tenants are gone.
            "Init": True,
            # The proxy dials within its accept loop, without a limit of its own: a server whose
            # packets are lost would hold up that link for 127 s after they pass again, and with it
            # the order to close it. Two tries, after 1 s and 3 s: (tcp(7), tcp_syn_retries).
            "Sysctls": {"net.ipv4.tcp_syn_retries": "1"},
            # Names in its hosts file: asking Docker's resolver takes two questions per connection,
            # inside the accept loop, and above 400 connections/s the queue was there.
            "ExtraHosts": [
                f"{setting.layout.alias(i)}:{setting.layout.containers[i.name]}"
                for i in setting.deployment.instances
            ],
            # A name that this run does not have is an error at once, not a question to the
            # resolver of the office that the accept loop of a link would wait for.
            "Dns": ["127.0.0.1"],
            "DnsOptions": ["attempts:1", "timeout:1"],
            "DnsSearch": ["."],
        },
    )
    exposed: Config = {"ExposedPorts": {f"{port}/tcp": {} for port in ports}}
    return Part(NETWORK, {**config, **exposed, **setting.joins(PROXY)})


def proxy(setting: Setting, network_container: str) -> Part:
    """Toxiproxy."""
    config = part_config(
        setting.images[TOXIPROXY_IMAGE],
        "proxy",
        setting.labels,
        command=["-host=0.0.0.0", "-proxy-metrics"],
        # Its default, trace, writes several lines per connection: 28 MB in one retry storm, and
        # writing them was the bottleneck that the storm then measured.
        env={"LOG_LEVEL": "info"},
        host={
            "NetworkMode": f"container:{network_container}",
            "CpuShares": INSTRUMENT_SHARES,
        },
    )
    return Part(PROXY, config)


def agent(setting: Setting, network_container: str) -> Part:
    """The network agent, in the proxy's network namespace and with no right but to change that."""
    config = part_config(
        setting.images[TOOLBOX_IMAGE],
        "agent",
        setting.labels,
        command=["python", "-u", "-m", "agent"],
        env={"PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        host={
            "NetworkMode": f"container:{network_container}",
            "LogConfig": {"Type": "none"},
            **_NETWORK_RIGHTS,
            # It answers at port 53 where names are looked up.
            "CapAdd": [*_NETWORK_RIGHTS["CapAdd"], "NET_BIND_SERVICE"],
        },
    )
    return Part(AGENT, {**config, **talks()}, _agent_code())


def cable(setting: Setting, instance: Instance, container: str, number: int) -> Part:
    """An agent in the namespace of a service, to take its network away: the so-manyth one."""
    config = part_config(
        setting.images[TOOLBOX_IMAGE],
        "cable",
        setting.labels,
        command=["python", "-u", "-m", "agent", "guest"],
        env={"PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        host={
            "NetworkMode": f"container:{container}",
            "LogConfig": {"Type": "none"},
            **_NETWORK_RIGHTS,
        },
    )
    return Part(f"{CABLE}{instance.name}-{number}", {**config, **talks()}, _agent_code())


def trial(image: str, labels: Mapping[str, str]) -> Part:
    """An agent without a network that says what its kernel offers, and ends."""
    config = part_config(
        image,
        "trial",
        labels,
        command=["python", "-m", "agent", "offers"],
        env={"PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        host={"NetworkMode": "none", **_NETWORK_RIGHTS},
    )
    return Part("lab/trial", config, _agent_code())


def inside(setting: Setting) -> Part:
    """The helper beside the services (`lab.engines.inside`), which is started only for some faults.

    It sees the daemon's machine and works in no network. Of all rights it has those to look into
    other processes' files and environment, and to become another user.
    """
    config = part_config(
        setting.images[TOOLBOX_IMAGE],
        "inside",
        setting.labels,
        command=["python", "-u", "-m", "inside"],
        env={"PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        host={
            "NetworkMode": "none",
            "PidMode": "host",
            "CgroupnsMode": "host",
            "Binds": [f"/sys/fs/cgroup:{CGROUPS}:rw"],
            "CapDrop": ["ALL"],
            "CapAdd": ["SYS_PTRACE", "DAC_OVERRIDE", "SETUID", "SETGID", "SYS_CHROOT"],
            "LogConfig": {"Type": "none"},
        },
    )
    code = Path(lab.__file__).with_name("engines") / "inside"
    return Part(INSIDE, {**config, **talks()}, _code("inside", code))


def driver(setting: Setting, design: str) -> Part:
    """The load driver of a design: a client like any other, with one link to the entry."""
    name = client_of(design)
    config = part_config(
        setting.images[TOOLBOX_IMAGE],
        "driver",
        {**setting.labels, "lab.design": design},
        command=["python", "-m", "lab.load.driver"],
        env={"PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        host={
            "NetworkMode": setting.network,
            "ExtraHosts": hosts_of(name, design, setting.deployment, setting.layout),
            "LogConfig": {"Type": "none"},
            # The ruler goes first: it raises its own priority, so that a busy machine makes the
            # measured system late and not the measurement.
            "CapAdd": ["SYS_NICE"],
            "CpuShares": INSTRUMENT_SHARES,
        },
    )
    return Part(name, {**config, **talks(), **setting.joins(name)}, _package())


def interceptor(setting: Setting, network_container: str) -> Part:
    """The interceptor of links whose requests are to be struck, beside the proxy."""
    config = part_config(
        setting.images[TOOLBOX_IMAGE],
        "interceptor",
        setting.labels,
        command=["python", "-u", "-m", interception.MODULE],
        env={"PYTHONPATH": _HOME, "PYTHONDONTWRITEBYTECODE": "1"},
        host={
            "NetworkMode": f"container:{network_container}",
            "CapDrop": ["ALL"],
            "CapAdd": ["SYS_NICE"],
            "CpuShares": INSTRUMENT_SHARES,
            "LogConfig": {"Type": "none"},
        },
    )
    return Part(interception.NAME, {**config, **talks()}, _package())


def scrape_files(setting: Setting, *, drivers: bool, with_agent: bool) -> bytes:
    """What tells Prometheus where to look: as a tar, with the addresses of this moment."""
    rules = grafana.rules()
    scrape = prometheus.config(
        setting.deployment,
        setting.layout,
        drivers=drivers,
        agent=with_agent,
        rules=rules is not None,
    )
    files = {prometheus.CONFIG_PATH: scrape.encode()}
    if rules is not None:
        files[prometheus.RULES_PATH] = rules
    return archive(files)


def scrapers(setting: Setting, *, drivers: bool, with_agent: bool) -> list[Part]:
    """Prometheus, and one exporter for all servers of a kind that do not speak for themselves."""
    deployment, layout = setting.deployment, setting.layout
    config = part_config(
        setting.images[prometheus.IMAGE],
        "prometheus",
        setting.labels,
        command=prometheus.COMMAND,
        host={**_published(prometheus.PORT), "NetworkMode": setting.network},
    )
    exposed: Config = {"ExposedPorts": {f"{prometheus.PORT}/tcp": {}}}
    found = [
        Part(
            PROMETHEUS,
            {**config, **exposed, **setting.joins(PROMETHEUS)},
            scrape_files(setting, drivers=drivers, with_agent=with_agent),
        )
    ]
    if POSTGRES_EXPORTER in layout.containers:
        auth = {prometheus.AUTH_PATH: prometheus.postgres_auth(deployment).encode()}
        found.append(
            _exporter(
                setting,
                POSTGRES_EXPORTER,
                prometheus.POSTGRES_IMAGE,
                prometheus.POSTGRES_COMMAND,
                auth,
            )
        )
    if REDIS_EXPORTER in layout.containers:
        found.append(
            _exporter(setting, REDIS_EXPORTER, prometheus.REDIS_IMAGE, prometheus.REDIS_COMMAND, {})
        )
    return found


def dashboards(setting: Setting) -> Part:
    """Grafana with the project's dashboards, reached at a free port of 127.0.0.1."""
    return Part(GRAFANA, grafana.config(setting, _published(grafana.PORT)), grafana.files())


def _exporter(
    setting: Setting, name: str, image: str, command: tuple[str, ...], files: Mapping[str, bytes]
) -> Part:
    config = part_config(
        setting.images[image],
        "exporter",
        setting.labels,
        command=command,
        host={"NetworkMode": setting.network},
    )
    return Part(name, {**config, **setting.joins(name)}, archive(files) if files else b"")


def _held(setting: Setting) -> list[Config]:
    """Volumes in memory, held so that a service which is started anew finds its data."""
    found = [
        mount
        for instance in setting.deployment.instances
        for mount in sized_volumes(instance, setting.layout, setting.labels)
    ]
    return [{**mount, "Target": f"/held/{n}", "ReadOnly": True} for n, mount in enumerate(found)]


def _published(*ports: int) -> Config:
    """On free ports of 127.0.0.1: the host reaches containers in no other way."""
    free = [{"HostIp": "127.0.0.1", "HostPort": ""}]
    return {"PortBindings": {f"{port}/tcp": free for port in ports}}


@cache
def _agent_code() -> bytes:
    """The network agent, which of the rest knows one file alone: the folders hold nothing else."""
    handshake = "lab/engines/handshake.py"
    return _code(
        "agent",
        Path(__file__).with_name("agent"),
        {f"{_HOME}/{handshake}": Path(lab.__file__).parent.parent / handshake},
    )


@cache
def _package() -> bytes:
    """The installed `lab` package; the driver imports the little of it that it needs."""
    return _code("lab", Path(lab.__file__).parent)


def _code(name: str, root: Path, also: Mapping[str, Path] | None = None) -> bytes:
    """A package's source as a tar, for the lab's home in a container; and other files."""
    files = {
        f"{_HOME}/{name}/{path.relative_to(root).as_posix()}": path for path in root.rglob("*.py")
    }
    return archive(dict(sorted({**files, **(also or {})}.items())))
