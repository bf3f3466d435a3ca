"""Images against the real daemon: made, cached, pulled, and clear when they cannot be had."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import httpx
import pytest
from docker.errors import ImageNotFound
from docker.models.containers import Container
from ruamel.yaml import YAML

from lab.engines.docker.bootstrap import ImageError
from lab.engines.docker.host_settings import extra_roots
from lab.engines.docker.images import Images

pytestmark = pytest.mark.docker

CATALOGUE = Path(__file__).parents[2] / "topologies" / "images"
REFS = list(YAML(typ="safe").load((CATALOGUE / "images.yaml").read_text()))
# A command of each image and a word that it must print.
BINARIES = {
    "postgres:17": (["postgres", "--version"], "(PostgreSQL) 17."),
    "valkey/valkey:8": (["valkey-server", "--version"], "v=8.1."),
    "haproxy:3.0": (["-vv"], "Prometheus exporter"),
    "prom/prometheus:v2.53.3": (["--version"], "version 2.53.3"),
    "quay.io/prometheuscommunity/postgres-exporter:v0.17.1": (["--version"], "version 0.17.1"),
    "oliver006/redis_exporter:v1.69.0": (["--version"], "1.69.0"),
    "ghcr.io/shopify/toxiproxy:2.12.0": (["-version"], "version 2.12.0"),
    "chaos-lab/base": (["cat", "/etc/os-release"], "trixie"),
    "chaos-lab/python": (
        ["python", "-c", "import uvloop, asyncpg, redis, uvicorn, starlette, httpx; print('all')"],
        "all",
    ),
    "chaos-lab/etcd": (["etcd", "--version"], "etcd Version: 3."),
    "chaos-lab/toolbox": (["sh", "-c", "ip -V && iptables -V"], "iptables v1.8"),
}


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """A connection to the daemon."""
    connection = docker.from_env()
    yield connection
    connection.close()


@pytest.fixture
def said() -> list[str]:
    """Lines of progress, as the user would see them."""
    return []


@pytest.fixture
def images(client: docker.DockerClient, said: list[str]) -> Images:
    """The catalogue that the repository ships."""
    return Images(client, said.append, CATALOGUE)


@pytest.fixture
def context(client: docker.DockerClient, tmp_path: Path) -> Iterator[Path]:
    """A small build context of a name that nobody else uses; its images are removed afterwards."""
    folder = tmp_path / f"test-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        "ARG BASE=chaos-lab/base\nFROM ${BASE}\nARG WORD=none\nCOPY . /here/\n"
        "RUN echo $WORD > /word\n"
    )
    (folder / "data").write_text("one")
    yield folder
    for image in client.images.list(name=f"chaos-lab/{folder.name}"):
        client.images.remove(str(image.id), force=True)


@contextlib.contextmanager
def running(client: docker.DockerClient, image: str, **settings: object) -> Iterator[Container]:
    """A container that is gone afterwards."""
    container = client.containers.run(image, detach=True, labels={"lab.test": "images"}, **settings)
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def until(condition: Callable[[], bool], limit_s: float = 20.0) -> float:
    """Seconds until the callable `condition` is true; fails after `limit_s`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s, "condition never came true"
        time.sleep(0.02)
    return time.monotonic() - began


def output(client: docker.DockerClient, image: str, command: list[str]) -> str:
    """What `command` prints in a container of its own."""
    done = client.containers.run(image, command, remove=True, stdout=True, stderr=True)
    return bytes(done).decode()


@pytest.mark.parametrize("ref", BINARIES)
def test_every_image_of_the_catalogue_runs(
    ref: str, client: docker.DockerClient, images: Images
) -> None:
    """Each catalogue entry gives an image whose program starts and has the promised version."""
    command, word = BINARIES[ref]
    assert word in output(client, images.ensure(ref), command)


def test_everything_is_found_again_at_once(client: docker.DockerClient, images: Images) -> None:
    """What was made once costs a later process less than a second, in which it says nothing."""
    first = [images.ensure(ref) for ref in REFS]
    lines: list[str] = []
    began = time.monotonic()
    again = Images(client, lines.append, CATALOGUE)
    with ThreadPoolExecutor(4) as pool:
        second = list(pool.map(again.ensure, REFS))
    took_s = time.monotonic() - began
    assert (second, lines) == (first, [])
    assert took_s < 1.0


def test_base_trusts_what_only_the_host_trusts(client: docker.DockerClient, images: Images) -> None:
    """Every root that the host adds to the public ones is in the bundle of the base image."""
    bundle = output(
        client, images.ensure("chaos-lab/base"), ["cat", "/etc/ssl/certs/ca-certificates.crt"]
    )
    assert bundle.count("BEGIN CERTIFICATE") > 100
    for pem in extra_roots().values():
        assert pem.decode() in bundle


def test_one_byte_builds_anew(images: Images, said: list[str], context: Path) -> None:
    """Same content, same image and no build; another byte, mode or argument makes another."""
    first = images.build(context)
    said.clear()
    assert images.build(context) == first
    assert said == []
    (context / "data").write_text("two")
    second = images.build(context)
    (context / "data").chmod(0o755)
    third = images.build(context)
    fourth = images.build(context, args={"WORD": "other"})
    assert len({first, second, third, fourth}) == 4


def test_ignored_files_do_not_count(
    client: docker.DockerClient, images: Images, context: Path
) -> None:
    """A file named in .dockerignore neither reaches the image nor builds it anew."""
    (context / ".dockerignore").write_text("*.pyc\n")
    (context / "x.pyc").write_bytes(b"1")
    first = images.build(context)
    (context / "x.pyc").write_bytes(b"2")
    assert images.build(context) == first
    assert "x.pyc" not in output(client, first, ["ls", "/here"])


def test_equal_builds_happen_once(images: Images, said: list[str], context: Path) -> None:
    """Four threads that want the same image get the same one from one build."""
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: images.build(context), range(4)))
    assert len(ids) == 1
    assert len([line for line in said if line.startswith("built")]) == 1


def test_failing_step_is_named(images: Images, context: Path) -> None:
    """The message has the step, the end of its log and what to do."""
    with (context / "Dockerfile").open("a") as file:
        file.write("RUN echo before && ls /nowhere\n")
    with pytest.raises(ImageError) as caught:
        images.build(context)
    assert "step 6/7 RUN echo before && ls /nowhere" in caught.value.message
    assert "before\n" in caught.value.message
    assert "cannot access '/nowhere'" in caught.value.message
    assert str(context / "Dockerfile") in str(caught.value.remedy)


def test_broken_dockerfile_is_named(images: Images, context: Path) -> None:
    """A Dockerfile that does not parse is the message, not a traceback of the SDK."""
    (context / "Dockerfile").write_text("FROM chaos-lab/base\nFLY away\n")
    with pytest.raises(ImageError, match=r"(?i)unknown instruction: FLY"):
        images.build(context)
    with pytest.raises(ImageError, match=r"no Missing in "):
        images.build(context, dockerfile="Missing")


def test_unknown_lab_image_names_the_nearest(images: Images) -> None:
    """A slip in one of the lab's names is answered with the right one."""
    with pytest.raises(ImageError, match="use chaos-lab/python"):
        images.ensure("chaos-lab/pyhton")


def test_silent_registry_costs_seconds_once(images: Images) -> None:
    """A registry that accepts but never speaks delays the first image only, and by seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        registry = f"127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ImageError, match="does not answer"):
            images.ensure(f"{registry}/first:1")
        first_s = time.monotonic() - began
        with pytest.raises(ImageError, match="does not answer"):
            images.ensure(f"{registry}/second:1")
        second_s = time.monotonic() - began - first_s
    assert first_s < 10
    assert second_s < 0.5


def test_pull_from_a_real_registry(
    client: docker.DockerClient, images: Images, said: list[str], context: Path
) -> None:
    """What a registry has is pulled; what it lacks is built if the catalogue can, else an error."""
    (context / "Dockerfile").write_text(
        "FROM chaos-lab/base\nRUN apt-get update"
        " && apt-get install -y --no-install-recommends docker-registry\n"
        "COPY config.yml /\n"
    )
    (context / "config.yml").write_text(
        "version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: ':5000'}\n"
    )
    registry_image = images.build(context)
    command = ["docker-registry", "serve", "/config.yml"]
    ports = {"5000/tcp": ("127.0.0.1", 0)}
    with running(client, registry_image, command=command, ports=ports) as registry:
        registry.reload()
        host = f"127.0.0.1:{registry.ports['5000/tcp'][0]['HostPort']}"
        until(lambda: _answers(f"http://{host}/v2/"))
        small = client.images.get(images.ensure("ghcr.io/shopify/toxiproxy:2.12.0"))
        small.tag(f"{host}/small", "1")
        client.images.push(f"{host}/small", "1")
        client.images.remove(f"{host}/small:1")

        assert images.ensure(f"{host}/small:1") == small.id
        assert f"pulling {host}/small:1" in said
        client.images.remove(f"{host}/small:1")

        with pytest.raises(ImageError, match="no recipe can replace it"):
            images.ensure(f"{host}/lacking:1")
        (context.parent / "images.yaml").write_text(f"{host}/lacking:1: {context.name}\n")
        (context / "Dockerfile").write_text("FROM scratch\nCOPY data /\n")
        own = Images(client, said.append, context.parent)
        assert own.ensure(f"{host}/lacking:1").startswith("sha256:")
        with pytest.raises(ImageNotFound):  # a build never takes the name of the real one
            client.images.get(f"{host}/lacking:1")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_postgres_keeps_its_word_through_kills(
    client: docker.DockerClient, images: Images, tmp_path: Path
) -> None:
    """Init files run once, before anyone is told it is ready; SIGKILL never blocks a restart."""
    (tmp_path / "01.sql").write_text("CREATE TABLE t (i int); INSERT INTO t VALUES (1);")
    script = 'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO t VALUES (2)"'
    (tmp_path / "02.sh").write_text(script)
    os.chmod(tmp_path, 0o755)  # noqa: PTH101, S103  (pytest's folders are closed to other users)
    with running(
        client,
        images.ensure("postgres:17"),
        command=["postgres", "-c", "max_connections=21"],
        environment={"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "pw", "POSTGRES_DB": "shop"},
        volumes={str(tmp_path): {"bind": "/docker-entrypoint-initdb.d", "mode": "ro"}},
    ) as db:

        def ask(sql: str, *options: str) -> str:
            done = db.exec_run(["psql", *options, "-U", "app", "-Atc", sql, "shop"])
            return str(done.output.decode().strip())

        def ready() -> bool:
            return bool(db.exec_run(["pg_isready", "-q"]).exit_code == 0)

        print(f"first start to accepting: {until(ready):.2f} s")
        assert ask("SELECT count(*) FROM t") == "2"
        assert ask("SHOW max_connections") == "21"
        assert "no password supplied" in ask(
            "SELECT 1", "-h", db.exec_run("hostname -i").output.decode().strip(), "-w"
        )
        for _ in range(2):
            db.kill()
            db.wait()
            db.start()
            print(f"restart after SIGKILL to accepting: {until(ready):.2f} s")
            assert ask("SELECT count(*) FROM t") == "2"


def test_valkey_serves_its_network_without_password(
    client: docker.DockerClient, images: Images
) -> None:
    """As the official image: reachable from other containers, with arguments and as own user."""
    image = images.ensure("valkey/valkey:8")
    with running(client, image, command=["--maxmemory", "10mb"]) as cache:
        cache.reload()
        address = next(iter(cache.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]

        def cli(*words: str) -> str:
            return str(cache.exec_run(["valkey-cli", "-h", address, *words]).output.decode())

        until(lambda: cli("PING") == "PONG\n")
        assert "10485760" in cli("CONFIG", "GET", "maxmemory")
        assert cache.exec_run(["stat", "-c", "%U", "/proc/1"]).output == b"valkey\n"


def test_haproxy_serves_a_low_port_with_metrics(
    client: docker.DockerClient, images: Images, tmp_path: Path
) -> None:
    """The official image's configuration path works, unprivileged on port 80, metrics built in."""
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n"
        "frontend f\n  bind :80\n  http-request use-service prometheus-exporter if { path /m }\n"
        "  http-request return status 200\n"
    )
    config.chmod(0o644)
    with running(
        client,
        images.ensure("haproxy:3.0"),
        ports={"80/tcp": ("127.0.0.1", 0)},
        volumes={str(config): {"bind": "/usr/local/etc/haproxy/haproxy.cfg", "mode": "ro"}},
    ) as proxy:
        proxy.reload()
        url = f"http://127.0.0.1:{proxy.ports['80/tcp'][0]['HostPort']}"
        until(lambda: _answers(url))
        assert "haproxy_frontend_http_requests_total" in httpx.get(f"{url}/m").text


def test_prometheus_takes_the_official_flags(client: docker.DockerClient, images: Images) -> None:
    """The command that the lab gives to the official image also starts this one."""
    command = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
    with running(
        client,
        images.ensure("prom/prometheus:v2.53.3"),
        command=[*command, "--web.enable-lifecycle"],
        ports={"9090/tcp": ("127.0.0.1", 0)},
    ) as prometheus:
        prometheus.reload()
        url = f"http://127.0.0.1:{prometheus.ports['9090/tcp'][0]['HostPort']}"
        print(f"ready after {until(lambda: _answers(url + '/-/ready')):.2f} s")
