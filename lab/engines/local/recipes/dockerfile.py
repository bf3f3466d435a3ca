"""Reads a Dockerfile whose image is Python with files in it: no step that runs anything."""

from __future__ import annotations

import io
import json
import posixpath
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dockerfile_parse import DockerfileParser

from lab.engines.local.recipes.recipe import repository
from lab.errors import EngineError
from lab.topology import Build

PYTHON_IMAGES = ("chaos-lab/python", "python")
_IGNORED = ("LABEL", "STOPSIGNAL", "USER", "VOLUME", "MAINTAINER", "COMMENT")
_VARIABLE = re.compile(r"\\(\$)|\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
_BASE_ENV = {"PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True, slots=True)
class Copy:
    """A `COPY`: sources in the build context, and where they go in the image."""

    sources: tuple[str, ...]
    target: str
    line: int


@dataclass
class PythonImage:
    """What an image of Python and files is made of."""

    workdir: str = "/"
    env: dict[str, str] = field(default_factory=lambda: dict(_BASE_ENV))
    copies: list[Copy] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    check: tuple[str, ...] = ()


def read(build: Build) -> PythonImage:
    """What the Dockerfile makes.

    Raises:
        EngineError: it is not built on Python, or has a step that a process cannot have; with
            file and line.
    """
    return _Reader(build).read()


class _Reader:
    """Goes through the instructions in order, as a build does."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._file = build.context / build.dockerfile
        self._image = PythonImage()
        self._args: dict[str, str] = {}
        self._line = 0
        self._started = False
        self._do: dict[str, Callable[[str], None]] = {
            "FROM": self._from,
            "ARG": self._arg,
            "ENV": self._env,
            "WORKDIR": self._workdir,
            "COPY": self._copy,
            "EXPOSE": self._expose,
            "CMD": self._command,
            "ENTRYPOINT": self._entrypoint,
            "HEALTHCHECK": self._healthcheck,
        }

    def read(self) -> PythonImage:
        for step in DockerfileParser(fileobj=io.BytesIO(self._content())).structure:
            self._line = step["startline"] + 1
            name = step["instruction"]
            if name in self._do:
                self._do[name](step["value"])
            elif name not in _IGNORED:
                raise self._wrong(
                    f"`{name}` is a step that only a container can have",
                    "delete it, or use --engine docker",
                )
        if not self._started:
            raise self._wrong("there is no FROM", f"write FROM {PYTHON_IMAGES[0]}")
        return self._image

    def _content(self) -> bytes:
        try:
            return self._file.read_bytes()
        except OSError as error:
            raise EngineError(f"{self._file} cannot be read: {error.strerror}") from error

    def _wrong(self, message: str, remedy: str) -> EngineError:
        return EngineError(f"{self._file}:{self._line}: {message}", remedy=remedy)

    def _expanded(self, text: str) -> str:
        """Variables of the Dockerfile, as far as it has got."""
        known: Mapping[str, str] = {**self._args, **self._image.env}

        def value(match: re.Match[str]) -> str:
            if match[1]:
                return "$"
            found = known.get(match[2] or match[3], "")
            if match[4] == "-":
                return found or match[5]
            return (match[5] if found else "") if match[4] == "+" else found

        return _VARIABLE.sub(value, text)

    def _from(self, value: str) -> None:
        words = [word for word in self._expanded(value).split() if not word.startswith("--")]
        if self._started:
            raise self._wrong("a second FROM needs a build", "use --engine docker")
        if repository(words[0]) not in PYTHON_IMAGES:
            raise self._wrong(
                f"services here run in the lab's own Python, and `{words[0]}` is not Python",
                f"start from {' or '.join(PYTHON_IMAGES)}, or use --engine docker",
            )
        self._started = True
        self._args.clear()  # arguments before FROM end with it, as in a build

    def _arg(self, value: str) -> None:
        for word in _words(value):
            name, equals, default = word.partition("=")
            if name in self._build.args:
                self._args[name] = self._build.args[name]
            elif equals:
                self._args[name] = self._expanded(default)

    def _env(self, value: str) -> None:
        words = _words(value)
        if "=" not in words[0]:  # the old form: ENV NAME all of the rest
            name, _, rest = value.strip().partition(" ")
            self._image.env[name] = self._expanded(rest.strip())
            return
        new = {}
        for word in words:
            name, _, text = word.partition("=")
            new[name] = self._expanded(text)
        self._image.env.update(new)

    def _workdir(self, value: str) -> None:
        self._image.workdir = posixpath.join(self._image.workdir, self._expanded(value.strip()))

    def _copy(self, value: str) -> None:
        words = _listed(value) or tuple(_words(value))
        flags = [word for word in words if word.startswith("--")]
        if any(flag.startswith("--from") for flag in flags):
            raise self._wrong("COPY --from needs a build", "use --engine docker")
        paths = [self._expanded(word) for word in words if word not in flags]
        if len(paths) < 2:
            raise self._wrong("COPY needs a source and a target", "write COPY app .")
        target = posixpath.join(self._image.workdir, paths[-1])
        self._image.copies.append(Copy(tuple(paths[:-1]), target, self._line))

    def _expose(self, value: str) -> None:
        ports = (word.partition("/")[0] for word in self._expanded(value).split())
        self._image.ports.extend(int(port) for port in ports if port.isdecimal())

    def _command(self, value: str) -> None:
        self._image.command = _exec_or_shell(value)

    def _entrypoint(self, value: str) -> None:
        self._image.entrypoint = _exec_or_shell(value)
        self._image.command = ()  # a command before it was another program's

    def _healthcheck(self, value: str) -> None:
        _, found, command = value.partition("CMD")
        self._image.check = _exec_or_shell(command.strip()) if found else ()


def _words(value: str) -> list[str]:
    return shlex.split(value, posix=True)


def _listed(value: str) -> tuple[str, ...] | None:
    """The JSON form of an instruction."""
    try:
        words = json.loads(value)
    except ValueError:
        return None
    return tuple(map(str, words)) if isinstance(words, list) else None


def _exec_or_shell(value: str) -> tuple[str, ...]:
    words = _listed(value)
    return words if words is not None else ("/bin/sh", "-c", value)
