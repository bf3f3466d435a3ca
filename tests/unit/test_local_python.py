"""The recipe for Python services: Dockerfiles, healthchecks, and the shim in their sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engines.local import shim
from lab.engines.local.program import Place
from lab.engines.local.recipes import (
    why_not,
)
from lab.engines.local.recipes.dockerfile import read
from lab.engines.local.recipes.python import _copy_all, _without_isolation
from lab.topology import Build, Service

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


def dockerfile(tmp_path: Path, text: str, **args: str) -> Build:
    (tmp_path / "Dockerfile").write_text(text)
    return Build(tmp_path, args=args)


def test_a_dockerfile_is_followed(tmp_path: Path) -> None:
    """Arguments, their defaults and scope, variables, both forms of commands."""
    build = dockerfile(
        tmp_path,
        "ARG BASE=chaos-lab/python\nFROM ${BASE}\nARG SERVICE=a\nARG OTHER=${SERVICE}-x\n"
        'ENV A=1 B="two words"\nENV C $A$OTHER\nWORKDIR /srv\nWORKDIR app\n'
        "COPY --chown=1 lib/${SERVICE} \\\n    more ./in/\nUSER nobody\nEXPOSE 8000/tcp 9000\n"
        'ENTRYPOINT ["uvicorn"]\nCMD ["main:app", "--port", "8000"]\n'
        "HEALTHCHECK --interval=1s CMD python3 check.py\n",
        SERVICE="shop",
        BASE="python:3.13-slim",
    )
    image = read(build)
    assert image.workdir == "/srv/app"
    assert image.env == {"PYTHONUNBUFFERED": "1", "A": "1", "B": "two words", "C": "1shop-x"}
    assert image.copies[0].sources == ("lib/shop", "more")
    assert image.copies[0].target == "/srv/app/./in/"
    assert image.ports == [8000, 9000]
    assert (image.entrypoint, image.command) == (("uvicorn",), ("main:app", "--port", "8000"))
    assert image.check == ("/bin/sh", "-c", "python3 check.py")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("FROM python:3\nRUN pip install x\n", 2, "`RUN` is a step"),
        ("FROM python:3\n\nADD x /\n", 3, "`ADD` is a step"),
        ("FROM debian\n", 1, "`debian` is not Python"),
        ("FROM python:3 AS a\nFROM python:3\n", 2, "a second FROM"),
        ("FROM python:3\nCOPY --from=a x y\n", 2, "COPY --from"),
    ],
)
def test_a_step_that_a_process_cannot_have(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    """With file and line, and before anything starts."""
    build = dockerfile(tmp_path, text)
    (found,) = why_not(Service("app", build=build, command=("python3",)))
    assert found.startswith(f"{tmp_path}/Dockerfile:{line}: ")
    assert message in found


def test_copy_as_docker_does_it(tmp_path: Path) -> None:
    """A folder's content, a file to a name, files into a folder, and .dockerignore."""
    context = tmp_path / "context"
    for name in ("app/main.py", "app/secret.key", "lib/a.py", "one.txt"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(name)
    (context / ".dockerignore").write_text("# keys\n**/*.key\n")
    copies = "COPY app .\nCOPY lib lib\nCOPY one.txt two.txt\nCOPY *.txt in/\n"
    build = dockerfile(context, f"FROM python:3\nWORKDIR /x\n{copies}")
    home = tmp_path / "home"
    _copy_all(read(build), build, home)
    files = {str(f.relative_to(home / "root")) for f in home.rglob("*") if f.is_file()}
    assert files == {"x/main.py", "x/lib/a.py", "x/two.txt", "x/in/one.txt"}


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("-SE", "x.py", "-S"), ["x.py", "-S"]),
        (("-I", "-u", "-m", "x", "-E"), ["-u", "-m", "x", "-E"]),
        (("-uS", "-c", "-I"), ["-u", "-c", "-I"]),
        (("-W", "error", "-S", "x"), ["-W", "error", "x"]),
    ],
)
def test_flags_that_would_keep_the_shim_out_are_dropped(
    words: tuple[str, ...], kept: list[str]
) -> None:
    """Python's own only: what follows the script is the script's."""
    assert _without_isolation(words) == kept


def in_shim(tmp_path: Path, code: str, **moved: tuple[str, int]) -> str:
    """What a Python process with the shim prints."""
    known = {(OWN, int(port.removeprefix("p"))): real for port, real in moved.items()}
    env = {
        "PYTHONPATH": f"{shim.FOLDER}{os.pathsep}{tmp_path}",
        shim.SETTINGS: shim.settings(place(tmp_path, known), "me-1"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_shim_resolves_names(tmp_path: Path) -> None:
    """All addresses of a service, its own name, and the reverse without any DNS."""
    code = (
        "import socket, json; g = lambda h: [e[4][0] for e in socket.getaddrinfo(h, 1, type=1)];"
        "print(json.dumps([g('app'), g(b'DB'), g('localhost'), g(socket.gethostname()),"
        f"socket.gethostbyname('db'), socket.getfqdn('{DB}'), socket.getfqdn('{OWN}')]))"
    )
    assert json.loads(in_shim(tmp_path, code)) == [
        list(APPS), [DB], ["127.0.0.1"], [OWN], DB, "db", "me-1",
    ]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.parametrize("bound", ["0.0.0.0", "", "localhost", "127.0.0.1", "me-1", "::"])
def test_the_shim_gives_a_service_its_own_address(tmp_path: Path, bound: str) -> None:
    """Whatever it binds; and 127.0.0.1 is itself."""
    family = "AF_INET6" if ":" in bound else "AF_INET"
    code = (
        f"import socket; s = socket.socket(socket.{family}); s.bind(('{bound}', 0)); s.listen();"
        "c = socket.create_connection(('localhost', s.getsockname()[1]));"
        "print(s.getsockname()[0].removeprefix('::ffff:'), c.getpeername()[0])"
    )
    assert in_shim(tmp_path, code) == f"{OWN} {OWN}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_shim_with_one_address_for_all(tmp_path: Path) -> None:
    """A known port is where it was put, an unknown one still works inside, others are refused."""
    code = (
        "import socket; s = socket.create_server(('', 8001)); t = socket.create_server(('', 8002));"
        "c = socket.create_connection(('127.0.0.1', 8001));"
        "d = socket.create_connection(('127.0.0.1', 8002)); e = socket.socket();"
        "print(c.getpeername(), d.getpeername() == t.getsockname(), e.connect_ex(('db', 1)) > 0)"
    )
    port = free_port()
    said = in_shim(tmp_path, code, p8001=("127.0.0.1", port))
    assert said == f"('127.0.0.1', {port}) True True"


def test_the_shim_hides_no_other_sitecustomize(tmp_path: Path) -> None:
    """Python imports one of that name; both run, and an import later gives the other one."""
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.other = 'ran'; here = 1")
    code = "import socket, sitecustomize; print(other, sitecustomize.here, socket.gethostname())"
    assert in_shim(tmp_path, code) == "ran 1 me-1"


def test_the_shim_without_settings_does_nothing(tmp_path: Path) -> None:
    """As for a program that cleared its environment."""
    env = {"PYTHONPATH": str(shim.FOLDER)}
    code = "import socket; print(socket.getaddrinfo.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "socket"
