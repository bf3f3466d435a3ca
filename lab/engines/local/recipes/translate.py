"""Turns hosts and ports as a container knows them into those that are real on this machine.

Textual, in commands, settings, healthchecks and configuration files:

    app:8000   0.0.0.0:80   http://localhost/x   /dev/tcp/127.0.0.1/8000   -h 127.0.0.1 -p 5432

A name alone is translated only where it must be a host: `cache` may be many other things.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.engines.local.program import Place
from lab.engines.local.shim import one_address

_OWN = ("0.0.0.0", "127.0.0.1", "localhost")
_CLIENTS = re.compile(r"\b(pg_isready|psql|pgbench|valkey-cli|redis-cli|valkey-benchmark)\b")
_HOST_FLAGS = ("-h", "--host", "-s")
_PORT_FLAGS = ("-p", "--port")
_DEFAULT_PORTS = {"http": 80, "https": 443, "redis": 6379, "nats": 4222, "ws": 80}
_DEFAULT_PORTS |= {"postgres": 5432, "postgresql": 5432}


_DONE = "\0"
"""In an address that is translated already: in "ports" mode the result would match once more."""


def done(real: tuple[str, int]) -> str:
    """A real place as text that `Translator.config` only cleans."""
    return f"{real[0]}{_DONE}:{real[1]}"


@dataclass(frozen=True, slots=True)
class Translator:
    """Translates for one instance.

    `host` is its own host name, `port` what its server's clients mean when they name none; `paths`
    are files of the container and where they are here.
    """

    place: Place
    host: str
    port: int
    paths: Mapping[str, Path] = field(default_factory=dict)
    _given: dict[int, tuple[str, int]] = field(default_factory=dict)

    def addresses(self, host: str) -> tuple[str, ...]:
        """The virtual addresses of a host, none when it is not one that is known here."""
        if host in (*_OWN, "*", "", "::", "[::]", self.host, self.place.own):
            return (self.place.own,)
        return self.place.names.get(host, ())

    def all_real(self, host: str, port: int) -> list[tuple[str, int]]:
        """Where a port of a host really is: one place per address."""
        return [self.place.real(address, port) for address in self.addresses(host)]

    def listen(self, port: int) -> tuple[str, int]:
        """Where to listen for a port.

        With one address for all, a port that no one else was told of gets a free one.
        """
        real = self.place.real(self.place.own, port)
        if real != (self.place.own, port) or not one_address(self.place):
            return real
        if port not in self._given:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self._given[port] = ("127.0.0.1", int(probe.getsockname()[1]))
        return self._given[port]

    def real(self, host: str, port: int) -> tuple[str, int] | None:
        """Where a port of a host is, of several the first; None for an unknown host."""
        addresses = self.addresses(host)
        if not addresses:
            return None
        first = addresses[0]
        return self.listen(port) if first == self.place.own else self.place.real(first, port)

    def text(self, text: str) -> str:
        """A command or a setting: paths, hosts with ports, and this instance's own addresses."""
        text = self.config(text)
        if _CLIENTS.search(text):
            text = self._flags(text)
        return re.sub(r"(?<![\w.:/-])(?:0\.0\.0\.0|127\.0\.0\.1)(?![\w.:-])", self._alone, text)

    def config(self, text: str) -> str:
        """A configuration: paths, and hosts with ports.

        An address alone stays: there it is more often who may connect than where to.
        """
        text = self._url.sub(self._with_default_port, self.with_paths(text))
        return self._pair.sub(self._with_port, text).replace(_DONE, "")

    def words(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """A command in words."""
        if not words or not _CLIENTS.search(words[0]):
            return tuple(self.text(word) for word in words)
        translated: list[str] = []
        for before, word in zip(("", *words), words, strict=False):
            if before in _HOST_FLAGS and (real := self.real(word, self.port)):
                translated.append(real[0])
            elif before in _PORT_FLAGS and word.isdecimal():
                translated.append(str(self.listen(int(word))[1]))
            else:
                translated.append(self.text(self._flags(f" {word}")[1:]))
        return tuple(translated)

    def values(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Settings: their values, not their names."""
        return {name: self.text(value) for name, value in environment.items()}

    @property
    def _hosts(self) -> str:
        known = sorted({*_OWN, self.host, *self.place.names}, key=len, reverse=True)
        return "|".join(map(re.escape, known))

    @property
    def _url(self) -> re.Pattern[str]:
        schemes = "|".join(_DEFAULT_PORTS)
        return re.compile(rf"\b({schemes})://([^\s/@]*@)?({self._hosts})(?![\w.:{_DONE}-])")

    @property
    def _pair(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w.-])(/dev/tcp/)?({self._hosts})([:/])(\d{{1,5}})(?![\w.])")

    def _with_default_port(self, match: re.Match[str]) -> str:
        scheme, user, host = match[1], match[2] or "", match[3]
        default = _DEFAULT_PORTS[scheme]
        real = self.real(host, default)
        if real is None:
            return match[0]
        return f"{scheme}://{user}{real[0] if real[1] == default else done(real)}"

    def _with_port(self, match: re.Match[str]) -> str:
        device, host, separator, port = match[1] or "", match[2], match[3], int(match[4])
        real = self.real(host, port)
        if real is None or bool(device) != (separator == "/"):
            return match[0]
        return f"{device}{real[0]}{separator}{real[1]}"

    def _flags(self, text: str) -> str:
        text = re.sub(r"(?<=\s)(--host[= ]|-h ?)([\w.-]+)", self._flagged_host, text)
        return re.sub(r"(?<=\s)(--port[= ]|-p ?)(\d+)", self._flagged_port, text)

    def _flagged_host(self, match: re.Match[str]) -> str:
        real = self.real(match[2], self.port)
        return f"{match[1]}{real[0]}" if real else match[0]

    def _flagged_port(self, match: re.Match[str]) -> str:
        return f"{match[1]}{self.listen(int(match[2]))[1]}"

    def _alone(self, _match: re.Match[str]) -> str:
        return self.listen(self.port)[0]

    def with_paths(self, text: str) -> str:
        """Only the paths of files, where they are here."""
        for target, path in sorted(self.paths.items(), key=lambda pair: -len(pair[0])):
            text = re.sub(rf"(?<![\w./-]){re.escape(target)}(?![\w-])", str(path), text)
        return text
