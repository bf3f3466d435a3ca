"""What recipes decide and rewrite without starting anything."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from lab.engines.local.program import Place
from lab.engines.local.recipes import (
    RECIPES,
    haproxy,
    nats,
    nginx,
    notes,
    recipe_for,
    wheels,
    why_not,
)
from lab.engines.local.recipes.recipe import major_version, repository
from lab.engines.local.recipes.translate import Translator
from lab.engines.local.tools import valkey_cli
from lab.errors import EngineError
from lab.loading import load_topology
from lab.topology import File, Healthcheck, Service

PROJECT = Path(__file__).resolve().parents[2]
README = PROJECT / "README.md"
OWN = "127.64.0.2"
DB = "127.64.0.130"
APPS = ("127.64.0.131", "127.64.0.132")


def place(tmp_path: Path, moved: dict[tuple[str, int], tuple[str, int]] | None = None) -> Place:
    """An instance that knows a database, a cache and two replicas of `app`."""
    moved = moved or {}
    names = {"db": (DB,), "cache": ("127.64.0.133",), "app": APPS, "app-1": APPS[:1]}
    return Place(tmp_path, OWN, names, lambda a, p: moved.get((a, p), (a, p)), moved)


@pytest.fixture
def translator(tmp_path: Path) -> Translator:
    return Translator(place(tmp_path), "me-1", 5432)


@pytest.fixture
def by_port(tmp_path: Path) -> Translator:
    """Addresses are only names here."""
    moved = {
        (OWN, 5432): ("127.0.0.1", 40001),
        (OWN, 80): ("127.0.0.1", 40002),
        (DB, 5432): ("127.0.0.1", 40003),
        (APPS[0], 8000): ("127.0.0.1", 40004),
        (APPS[1], 8000): ("127.0.0.1", 40005),
    }
    return Translator(place(tmp_path, moved), "me-1", 5432)


@pytest.mark.parametrize(
    ("text", "addresses", "ports"),
    [
        ("db:5432", f"{DB}:5432", "127.0.0.1:40003"),
        ("postgres://u:p@db/x", f"postgres://u:p@{DB}/x", "postgres://u:p@127.0.0.1:40003/x"),
        ("http://localhost/health", f"http://{OWN}/health", "http://127.0.0.1:40002/health"),
        ("http://app:8000/", f"http://{APPS[0]}:8000/", "http://127.0.0.1:40004/"),
        (
            "exec 3<>/dev/tcp/127.0.0.1/80",
            f"exec 3<>/dev/tcp/{OWN}/80",
            "exec 3<>/dev/tcp/127.0.0.1/40002",
        ),
        ("pg_isready -h localhost", f"pg_isready -h {OWN}", "pg_isready -h 127.0.0.1"),
        (
            "pg_isready -hdb -p 5432",
            f"pg_isready -h{DB} -p 5432",
            "pg_isready -h127.0.0.1 -p 40001",
        ),
        ("listen on 0.0.0.0 please", f"listen on {OWN} please", "listen on 127.0.0.1 please"),
        ("me-1:5432", f"{OWN}:5432", "127.0.0.1:40001"),
        # not hosts
        ("cache", "cache", "cache"),
        ("the-db:5432 and db:5432x", "the-db:5432 and db:5432x", "the-db:5432 and db:5432x"),
        ("10.127.0.0.1.2 v127.0.0.1", "10.127.0.0.1.2 v127.0.0.1", "10.127.0.0.1.2 v127.0.0.1"),
        ("mkdir -p 5432 && ls -h db", "mkdir -p 5432 && ls -h db", "mkdir -p 5432 && ls -h db"),
        ("unknown:5432", "unknown:5432", "unknown:5432"),
    ],
)
def test_hosts_in_texts(
    text: str, addresses: str, ports: str, translator: Translator, by_port: Translator
) -> None:
    """Only what is a host for certain changes."""
    assert translator.text(text) == addresses
    assert by_port.text(text) == ports


def test_a_client_s_flags_in_words(translator: Translator, by_port: Translator) -> None:
    """Of the clients that are known, and of no other program."""
    words = ("psql", "-h", "db", "-p", "5432", "--host=localhost")
    assert translator.words(words) == ("psql", "-h", DB, "-p", "5432", f"--host={OWN}")
    assert by_port.words(words[:5]) == ("psql", "-h", "127.0.0.1", "-p", "40001")
    assert translator.words(("other", "-h", "db")) == ("other", "-h", "db")


def test_a_port_that_nobody_was_told_of_gets_a_free_one(by_port: Translator) -> None:
    """And keeps it: two places that name it mean the same."""
    host, port = by_port.listen(9999)
    assert host == "127.0.0.1"
    assert port != 9999
    assert by_port.listen(9999) == (host, port)


def test_paths_of_files(tmp_path: Path) -> None:
    """Whole ones: neither the end of a longer path nor the start of a longer name."""
    translator = Translator(place(tmp_path), "me-1", 1, {"/etc/x": Path("/home/x")})
    text = "-c /etc/x/a.conf=/etc/x /usr/etc/x /etc/xy"
    assert translator.text(text) == "-c /home/x/a.conf=/home/x /usr/etc/x /etc/xy"


def test_the_sample_haproxy_configuration(translator: Translator) -> None:
    """Only addresses differ, line by line."""
    text = (PROJECT / "topologies" / "url-shortener" / "haproxy.cfg").read_text()
    text = text.replace("app-2", "app-1").replace("app-3", "app-1")
    lines, translated = text.splitlines(), haproxy.translate(text, translator).splitlines()
    changed = {a.strip(): b.strip() for a, b in zip(lines, translated, strict=True) if a != b}
    assert changed == {
        "bind :8000": f"bind {OWN}:8000",
        "bind :8404": f"bind {OWN}:8404",
        "server app-1 app-1:8000": f"server app-1 {APPS[0]}:8000",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("    bind *:80,:::80 v4v6", f"    bind {OWN}:80,{OWN}:80 v4v6"),
        ("    bind 0.0.0.0:8000", f"    bind {OWN}:8000"),
        (
            "    server app app:8000 check port 8001",
            f"    server app {APPS[0]}:8000 check port 8001",
        ),
        ("    server s 10.0.0.1:80", "    server s 10.0.0.1:80"),
        ("    acl own src 127.0.0.1", "    acl own src 127.0.0.1"),
        (
            "    server-template a- 5 app:8000 check resolvers dns init-addr none",
            f"    server a-1 {APPS[0]}:8000 check\n    server a-2 {APPS[1]}:8000 check",
        ),
    ],
)
def test_haproxy_lines(line: str, expected: str, translator: Translator) -> None:
    """Listeners, servers by name, servers by template; access rules stay."""
    assert haproxy.translate(line, translator) == expected + "\n"


def test_haproxy_s_privileges_have_no_effect(translator: Translator) -> None:
    """In `global` only: `user` is a word of user lists too."""
    text = "global\n    user haproxy\n    chroot /x\nuserlist u\n    user bob\n"
    assert haproxy.translate(text, translator) == (
        "global\n    # user haproxy\n    # chroot /x\nuserlist u\n    user bob\n"
    )


def test_nginx_upstreams_hold_every_address(translator: Translator, by_port: Translator) -> None:
    """By `server` in an upstream of the author's, and by a name in `proxy_pass`."""
    text = "upstream up { server app:8000 weight=2; }\nlocation / { proxy_pass http://up; }\n"
    assert nginx.translate(text, translator).splitlines()[0] == (
        f"upstream up {{ server {APPS[0]}:8000 weight=2; server {APPS[1]}:8000 weight=2; }}"
    )
    text = "http {\n  server { listen 80; location / { proxy_pass http://app:8000/x; } }\n}\n"
    assert nginx.translate(text, by_port).splitlines() == [
        "http { upstream app.8000 { server 127.0.0.1:40004; server 127.0.0.1:40005; } ",
        "  server { listen 127.0.0.1:40002; location / { proxy_pass http://app.8000/x; } }",
        "}",
    ]


def test_nginx_listens_once(translator: Translator) -> None:
    """Both families are the same address here; alone, `[::]` is translated."""
    both = nginx.translate("listen 80 default_server;\nlisten [::]:80;\n", translator)
    assert both == f"listen {OWN}:80 default_server;\n\n"
    assert nginx.translate("listen [::]:80;", translator) == f"listen {OWN}:80;"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("port: 4222", f'listen: "{OWN}:4222"'),
        ("cluster { host: 0.0.0.0, port: 6222 }", f'cluster {{  listen: "{OWN}:6222" }}'),
        ('http = "0.0.0.0:8222"', f'http: "{OWN}:8222"'),
        ("monitor_port: 8222 # port: 1", f'http: "{OWN}:8222" # port: 1'),
        ("routes: [nats://db:6222]", f"routes: [nats://{DB}:6222]"),
        ("max_payload: 8000", "max_payload: 8000"),
    ],
)
def test_nats_lines(line: str, expected: str, translator: Translator) -> None:
    """Every way to write a listener."""
    assert nats.translate(line, translator) == expected + "\n"


@pytest.mark.parametrize(
    ("image", "name", "version"),
    [
        ("postgres:17.2-alpine", "postgres", 17),
        ("docker.io/library/redis@sha256:aa", "redis", None),
        ("localhost:5000/valkey/valkey:8", "localhost:5000/valkey/valkey", 8),
        ("nginx", "nginx", None),
    ],
)
def test_image_names(image: str, name: str, version: int | None) -> None:
    """Without registry of Docker's own, tag and digest; another registry's images are others."""
    assert repository(image) == name
    assert major_version(image) == version


def test_an_image_without_a_recipe_is_named() -> None:
    """With those that there are, and the other engine as the way out."""
    service = Service("queue", image="rabbitmq:4")
    with pytest.raises(
        EngineError, match=r"`queue` runs rabbitmq:4.*nats, nginx, postgres"
    ) as found:
        recipe_for(service)
    assert found.value.remedy == "use --engine docker"
    assert why_not(service) == [found.value.message]


@pytest.mark.parametrize("path", sorted(PROJECT.glob("topologies/*/compose*.yaml")))
def test_every_sample_topology_can_run_here(path: Path) -> None:
    """Nothing is refused, and unenforced limits are said."""
    for service in load_topology(path, path.parent.name).services.values():
        assert why_not(service) == []
        assert "limits on cpus and memory are not enforced" in notes(service)


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        (Service("a", image="postgres:17"), "it needs POSTGRES_PASSWORD"),
        (Service("a", image="valkey/valkey", command=("sh", "-c", "x")), "starts `sh`"),
        (Service("a", image="redis", tmpfs=("/scratch",)), "/scratch cannot be mounted"),
        (Service("a", image="redis", tmpfs=("/data:size=1m",)), "asks for a size"),
        (Service("a", image="redis", sysctls={"net.core.somaxconn": "999999999"}), "sudo sysctl"),
        (Service("a", image="redis", sysctls={"no.such": "1"}), "not known on this machine"),
        (Service("a", image="redis", ulimits={"core": (0, 0)}), "ulimit core cannot be set"),
        (
            Service("a", image="redis", healthcheck=Healthcheck(("CMD", "no-such-program"))),
            "runs `no-such-program`",
        ),
        (
            Service("a", image="nginx", files=(File(README, "/elsewhere/x"),)),
            "/elsewhere/x cannot be mounted",
        ),
        (Service("a", image="python:3"), "`a` has no command"),
    ],
)
def test_what_cannot_be_had_is_refused(service: Service, reason: str) -> None:
    """Before anything starts, with the reason."""
    assert [why for why in why_not(service) if reason in why]


def test_volumes_where_the_server_keeps_its_data_are_fine() -> None:
    """Postgres on a tmpfs, a named volume for the cache; a mount that the command names."""
    env = {"POSTGRES_PASSWORD": "x"}
    tmpfs = Service("a", image="postgres", environment=env, tmpfs=("/var/lib/postgresql/data",))
    assert why_not(tmpfs) == []
    assert "tmpfs /var/lib/postgresql/data is a folder on disk" in notes(tmpfs)
    assert why_not(Service("a", image="redis", volumes=("data:/data",))) == []
    mounted = (File(Path(__file__), "/my.conf"),)
    assert why_not(Service("a", image="redis", command=("/my.conf",), files=mounted)) == []


def test_the_small_client_fails_as_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    """No server, no command, an option that it does not have."""
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    assert valkey_cli.main(["-h", "127.0.0.1", "-p", str(port), "ping"]) == 1
    assert "Could not connect" in capsys.readouterr().err
    assert valkey_cli.main([]) == 1
    with pytest.raises(SystemExit):
        valkey_cli.main(["--cluster", "info"])


def test_another_user_gets_a_copy_that_it_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a wheel in a folder that is hidden from others; made once."""
    tmp_path.chmod(0o755)
    hidden = tmp_path / "hidden" / "bin"
    hidden.mkdir(parents=True)
    (hidden / "postgres").write_text("program")
    hidden.parent.chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(wheels, "_SYSTEM_CACHE", tmp_path / "system")
    assert not wheels.open_to_all(hidden)
    copy = wheels.for_another_user("postgres-1", (hidden,))
    assert (copy / "bin" / "postgres").read_text() == "program"
    assert copy.stat().st_mode & 0o005 == 0o005
    # pytest's own folders are hidden as root's home is, so the system's cache is the place.
    assert copy.parent == tmp_path / "system"
    (hidden / "postgres").write_text("changed")
    assert wheels.for_another_user("postgres-1", (hidden,)) == copy
    assert (copy / "bin" / "postgres").read_text() == "program"


def test_every_recipe_is_in_the_table() -> None:
    """docs/reference/local-images.md says what the code does."""
    text = (PROJECT / "docs" / "reference" / "local-images.md").read_text()
    rows = re.findall(r"^\| (`.+`) \| (.+?) \| (.+?) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    written = {
        (tuple(re.findall(r"`(.+?)`", images)), *rest, tuple(differs.split("<br>")))
        for images, *rest, differs in rows
    }
    assert written == {
        (
            recipe.images,
            "the lab's own Python" if recipe.name == "python" else recipe.server,
            f"`{recipe.wheel}`" if recipe.wheel else "none",
            recipe.licence,
            recipe.differs,
        )
        for recipe in RECIPES
    }
