"""The pure parts of the Docker engine: addresses, hosts files, containers, targets."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab.engines.docker import owner, prometheus
from lab.engines.docker.agent.connections import hexed, is_stalled
from lab.engines.docker.containers import clock_archive, files_archive, instance_config
from lab.engines.docker.layout import (
    Layout,
    endpoints,
    hosts_of,
    lay_out,
    own_parts,
    prefix_for,
)
from lab.engines.docker.network import RANGES, free_subnets
from lab.engines.docker.parts import TOOLBOX_IMAGE, Setting, network
from lab.errors import EngineError
from lab.faults import KINDS
from lab.plan import Deployment, Instance, LinkEnd, deploy_topology
from lab.topology import File, Link, Scrape, Service, Topology

RUN = "20261122-1f0c2a9b"
SUBNET = IPv4Network("198.18.7.0/24")


def small() -> Deployment:
    """A balancer -> two apps -> a shared database; nobody has a link to the queue."""
    services = {
        "lb": Service("lb", image="lb"),
        "app": Service("app", image="app", replicas=2, scrape=Scrape(8000, "/m")),
        "db": Service("db", image="db", shared=True, scrape=Scrape(5432, exporter="postgres")),
        "queue": Service("queue", image="queue"),
    }
    links = (Link("lb", "app", 8000), Link("app", "db", 5432))
    return deploy_topology(Topology("shop", services, links, Link("client", "lb", 80)))


def laid_out(deployment: Deployment) -> Layout:
    """Its layout, with drivers."""
    return lay_out(RUN, deployment, SUBNET, own_parts(deployment, drivers=True))


def test_every_address_is_given_once_containers_below_and_links_above() -> None:
    """And none is the network's own, the gateway's, the lab's hand or the broadcast address."""
    layout = laid_out(small())
    below, above = list(layout.containers.values()), list(layout.links.values())
    assert len({*below, *above}) == len(below) + len(above) == 4 + 5 + 5
    assert all(address in IPv4Network("198.18.7.0/25") for address in below)
    assert all(address in layout.upper for address in above)
    assert not {SUBNET[0], SUBNET[1], layout.hand, SUBNET[-1], layout.nobody} & {*below, *above}
    assert layout.nobody in layout.lower


@pytest.mark.parametrize(
    ("containers", "ends", "prefix"),
    [(1, 1, 24), (125, 125, 24), (126, 1, 23), (1, 126, 23), (10, 500, 22)],
)
def test_the_network_grows_with_the_run(containers: int, ends: int, prefix: int) -> None:
    """Both halves have room."""
    assert prefix_for(containers, ends) == prefix
    assert 2 ** (31 - prefix) >= max(containers, ends) + 3


def test_a_client_knows_its_links_by_both_names_and_the_rest_by_its_real_address() -> None:
    """Several ends give the service's name several addresses; the lab's own parts have no name."""
    deployment = small()
    layout = laid_out(deployment)
    lines = hosts_of("shop/lb-1", "shop", deployment, layout)
    ends = {end.server.host: layout.links[end.name] for end in deployment.ends_of("lb -> app")}
    assert f"app-1:{ends['app-1']}" in lines
    assert f"app-2:{ends['app-2']}" in lines
    assert {line for line in lines if line.startswith("app:")} == {
        f"app:{ends['app-1']}",
        f"app:{ends['app-2']}",
    }
    assert f"queue:{layout.containers['shop/queue-1']}" in lines
    assert f"db-1:{layout.containers['db-1']}" in lines
    assert {line.partition(":")[0].partition("-")[0] for line in lines} == {"app", "queue", "db"}


def test_designs_with_like_names_stay_apart() -> None:
    """Container and host names lose what cannot be in them, but not the difference."""
    layout = Layout(RUN, SUBNET, ("a+b", "a b", "c"), {}, {})
    names = [layout.container_name(f"{design}/app-1") for design in layout.designs]
    assert names == ["lab-1f0c2a9b-a-b-1-app-1", "lab-1f0c2a9b-a-b-2-app-1", "lab-1f0c2a9b-c-app-1"]
    app = Service("app", image="x")
    assert layout.alias(Instance("a+b", app, 1)) == "app-1.a-b-1"
    assert layout.alias(Instance("", app, 1)) == "app-1.shared"


def test_the_proxy_of_a_link_dials_by_name() -> None:
    """So the address is looked up anew for every connection."""
    deployment = small()
    layout = laid_out(deployment)
    end: LinkEnd = deployment.ends_of("app-2 -> db")[0]
    assert endpoints(end, layout) == (f"{layout.links[end.name]}:5432", "db-1.shared:5432")


def test_what_a_service_asks_for_is_what_docker_is_told() -> None:
    """Limits, users, volumes and policies, in the words of the Engine's API."""
    service = Service(
        "app",
        image="x",
        command=("run", "it"),
        environment={"A": "1"},
        cpus=0.5,
        memory_bytes=64 << 20,
        tmpfs=("/tmp:size=1m",),
        volumes=("data:/data", "/cache"),
        restart="on-failure:3",
        user="nobody",
        stop_signal="SIGINT",
        sysctls={"net.core.somaxconn": "1"},
        ulimits={"nofile": (10, 20)},
        init=True,
    )
    topology = Topology("shop", {"app": service}, (), Link("client", "app", 80))
    deployment = deploy_topology(topology)
    layout = laid_out(deployment)
    config: dict[str, Any] = instance_config(
        deployment.instances[0], "sha256:1", deployment, layout, "net", {"lab.run": RUN}
    )
    host = config["HostConfig"]
    assert (config["Image"], config["Cmd"], config["Env"]) == ("sha256:1", ["run", "it"], ["A=1"])
    assert (config["User"], config["StopSignal"]) == ("nobody", "SIGINT")
    assert "Entrypoint" not in config
    assert (host["CpuQuota"], host["CpuPeriod"]) == (50_000, 100_000)
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert host["Tmpfs"] == {"/tmp": "size=1m"}
    assert [mount["Target"] for mount in host["Mounts"]] == ["/data", "/cache"]
    assert all(m["VolumeOptions"]["Labels"] == {"lab.run": RUN} for m in host["Mounts"])
    assert host["Sysctls"] == {"net.core.somaxconn": "1"}
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    endpoint = config["NetworkingConfig"]["EndpointsConfig"]["net"]
    assert endpoint["IPAMConfig"] == {"IPv4Address": str(layout.containers["shop/app-1"])}
    assert endpoint["Aliases"] == ["app-1.shop"]
    assert config["Labels"]["lab.instance"] == "shop/app-1"


def test_a_volume_in_memory_is_held_by_a_container_that_stays() -> None:
    """Under one name in both: with its last container its contents would go."""
    service = Service(
        "db", image="x", volumes=("data:/data", "disk:/disk"), sized={"data": "size=64m"}
    )
    deployment = deploy_topology(Topology("shop", {"db": service}, (), Link("client", "db", 80)))
    layout = laid_out(deployment)
    setting = Setting(deployment, layout, "net", {TOOLBOX_IMAGE: "sha256:1"}, {"lab.run": RUN})
    own: dict[str, Any] = instance_config(
        deployment.instances[0], "sha256:1", deployment, layout, "net", {"lab.run": RUN}
    )
    (held,) = network(setting, entry=False).config["HostConfig"]["Mounts"]
    disk, memory = own["HostConfig"]["Mounts"]
    assert (disk["Target"], "Source" in disk) == ("/disk", False)
    assert memory["VolumeOptions"]["DriverConfig"]["Options"] == {
        "type": "tmpfs",
        "device": "tmpfs",
        "o": "size=64m",
    }
    assert memory["VolumeOptions"]["NoCopy"] is True
    assert memory["VolumeOptions"]["Labels"] == {"lab.run": RUN}
    assert held == {**memory, "Target": "/held/0", "ReadOnly": True}


def test_a_service_whose_clock_is_to_be_set_is_started_with_the_library() -> None:
    """Behind what it preloads itself; others are as the topology says."""
    services = {
        "app": Service("app", image="x", environment={"LD_PRELOAD": "/own.so"}),
        "db": Service("db", image="x"),
    }
    topology = Topology("shop", services, (), Link("client", "app", 80))
    fault = KINDS["clock_skew"].model_validate({"service": "app", "by": "-30s"})
    deployment = deploy_topology(topology, [fault])
    layout = laid_out(deployment)
    assert deployment.skewed == {"shop/app-1"}
    app, db = (
        instance_config(one, "sha256:1", deployment, layout, "net", {})
        for one in deployment.instances
    )
    assert "LD_PRELOAD=/own.so:/usr/$LIB/faketime/libfaketimeMT.so.1" in app["Env"]
    assert "FAKETIME_TIMESTAMP_FILE=/etc/lab/clock" in app["Env"]
    assert db["Env"] == []
    files = [clock_archive(one, deployment) for one in deployment.instances]
    assert files[1] == b""
    with tarfile.open(fileobj=io.BytesIO(files[0])) as tar:
        member = tar.getmember("etc/lab/clock")
        content = tar.extractfile(member)
        assert content
        assert (content.read(), member.mode) == (b"+0", 0o644)


def test_an_empty_entrypoint_is_not_the_image_s_own() -> None:
    """`entrypoint: []` resets it; leaving the key out keeps it."""
    topology = Topology(
        "shop", {"app": Service("app", image="x", entrypoint=())}, (), Link("client", "app", 80)
    )
    deployment = deploy_topology(topology)
    config = instance_config(
        deployment.instances[0], "i", deployment, laid_out(deployment), "net", {}
    )
    assert config["Entrypoint"] == []


def test_files_keep_their_content_and_may_be_read_and_run(tmp_path: Path) -> None:
    """Whatever umask the checkout was made with."""
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    script, text = tmp_path / "folder" / "deep" / "run.sh", tmp_path / "plain.cfg"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    text.write_text("x=1\n")
    text.chmod(0o600)
    data = files_archive([File(tmp_path / "folder", "/opt/f"), File(text, "/etc/plain.cfg")])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        modes = {member.name: member.mode for member in tar}
        assert tar.extractfile("etc/plain.cfg").read() == b"x=1\n"  # type: ignore[union-attr]
    assert modes == {"opt/f/deep/run.sh": 0o755, "etc/plain.cfg": 0o644}


def test_a_file_that_is_not_there_is_named() -> None:
    """With what to correct."""
    with pytest.raises(EngineError, match=r"/no/such.cfg is to be put at /etc/x"):
        files_archive([File(Path("/no/such.cfg"), "/etc/x")])


def test_free_subnets_avoid_what_is_taken_and_go_on_in_the_next_range() -> None:
    """Two runs that start at different places do not ask for the same one first."""
    taken = [IPv4Network("198.18.0.0/24"), IPv4Network("198.18.1.0/25")]
    first = next(free_subnets(taken, 24, 0))
    assert first == IPv4Network("198.18.2.0/24")
    assert next(free_subnets(taken, 24, 77)) == IPv4Network("198.18.77.0/24")
    rest = free_subnets([IPv4Network(RANGES[0])], 24, 5)
    assert next(rest).subnet_of(IPv4Network(RANGES[1]))
    assert len(list(itertools.islice(free_subnets([], 24, 3), 1000))) < 200


def test_scrape_targets_carry_the_labels_that_samples_are_found_by() -> None:
    """At real addresses, so that no fault on a link hides an instance."""
    deployment = small()
    layout = laid_out(deployment)
    config = json.loads(prometheus.config(deployment, layout, drivers=True, agent=True))
    services, lab = config["scrape_configs"]
    targets = {t["labels"]["instance"]: t for t in services["static_configs"]}
    assert set(targets) == {"shop/app-1", "shop/app-2", "db-1"}
    app, db = targets["shop/app-2"], targets["db-1"]
    assert app["targets"] == [f"{layout.containers['shop/app-2']}:8000"]
    assert app["labels"]["__metrics_path__"] == "/m"
    assert (app["labels"]["design"], app["labels"]["service"]) == ("shop", "app")
    assert db["targets"] == [f"{layout.containers['lab/postgres-exporter']}:9187"]
    assert db["labels"]["__param_target"] == f"{layout.containers['db-1']}:5432/postgres"
    assert db["labels"]["design"] == ""
    own = {t["labels"]["instance"] for t in lab["static_configs"]}
    assert own == {"lab", "lab/toxiproxy", "lab/prometheus", "shop/client"}
    modules = json.loads(prometheus.postgres_auth(deployment))["auth_modules"]
    assert db["labels"]["__param_auth_module"] in modules


@pytest.mark.parametrize(
    ("row", "stalled"),
    [
        ("0: A B 01 00000000:00000000 00:00000000 00000000", False),  # idle
        ("0: A B 01 00100000:00000000 01:00000014 00000000", False),  # busy
        ("0: A B 01 0016DE39:00000000 04:000003A6 00000000", True),  # the peer's window is zero
        ("0: A B 01 00100000:00000000 01:000000A0 00000004", True),  # sent again and again
        ("0: A B 01 00000050:00000000 01:000000A0 00000004", False),  # a lost packet, little queued
    ],
)
def test_a_peer_that_does_not_read_is_told_from_a_busy_one(row: str, stalled: bool) -> None:
    """Columns of /proc/net/tcp: state, queues, timer, retransmissions."""
    assert is_stalled(row.split()) is stalled


def test_an_endpoint_is_written_as_the_kernel_writes_it() -> None:
    """The address in host byte order."""
    assert hexed("127.0.0.1:80") in ("0100007F:0050", "7F000001:0050")


def test_the_owner_of_a_label_is_this_process_and_no_other_with_its_number() -> None:
    """Process ids are given anew; the start time tells them apart."""
    labels = owner.labels_of("x", kept=False)
    assert owner.is_alive(labels)
    pid = labels["lab.owner"].partition(".")[0]
    assert not owner.is_alive({**labels, "lab.owner": f"{pid}.1"})
    assert owner.is_alive({**labels, "lab.host": "another-machine"})
    assert owner.labels_of("x", kept=True)["lab.kept"] == "true"
