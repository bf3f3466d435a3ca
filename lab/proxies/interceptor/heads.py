"""Heads of HTTP/1 messages: where they end, and what they say of what follows (RFC 9112).

httptools (llhttp) judges them. What it refuses is not HTTP as this interceptor understands it, and
whoever asks passes those bytes on unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import httptools

from lab.proxies.greetings import OWN_AGENT
from lab.proxies.interceptor.bodies import Body, Chunked, Length, NotHttpError, UntilClose

HEAD_BYTES_MAX = 1 << 16
PROBE_HEADER = b"Chaos-Lab-Probe"
"""`METHOD PATH RULE`: what a request stands for when that rule looks at it. It goes no further."""

_BLANK_LINE = b"\r\n\r\n"
_PROBE_LINE = b"\r\n" + PROBE_HEADER + b": "
_NO_BODY = (204, 304)

Framing = int | Literal["none", "chunked", "close"]
"""How long a body is: so many bytes, or how its end is told."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a request of the lab's own pretends to be, and to which rule."""

    method: str
    path: str
    rule: str


@dataclass(frozen=True, slots=True)
class Request:
    """A head as it goes on to the server, and what it says. `path` is without its query.

    `is_own`: it is a try of the lab's own, that no rule is about. With a `probe` it stands for a
    request that the rule named there is about.
    """

    raw: bytes
    method: str
    path: str
    framing: Framing
    keeps_alive: bool
    expects: bool
    upgrades: bool
    is_own: bool
    probe: Probe | None

    def body(self) -> Body | None:
        """A reader of its body; None when it has none."""
        return _reader(self.framing)


@dataclass(frozen=True, slots=True)
class Response:
    """What the head of an answer says."""

    status: int
    framing: Framing

    def body(self, method: str) -> Body | None:
        """A reader of its body, which depends on what was asked (RFC 9112, 6.3)."""
        if method == "HEAD" or self.status in _NO_BODY:
            return None
        return _reader(self.framing)

    def is_interim(self) -> bool:
        """Whether the answer itself is still to come."""
        return self.status < 200 and self.status != 101

    def is_tunnel(self, method: str) -> bool:
        """Whether no HTTP follows: a WebSocket, or what CONNECT asked for."""
        return self.status == 101 or (method == "CONNECT" and 200 <= self.status < 300)


def end_of_head(data: bytes) -> int:
    """Where a head ends that begins here; -1 when its end is not there yet.

    Empty lines before it belong to it (RFC 9112, 2.2).
    """
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    found = data.find(_BLANK_LINE, start)
    return -1 if found < 0 else found + len(_BLANK_LINE)


def check_beginning(data: bytes, *, answer: bool) -> None:
    """Refuse what cannot become a head: nobody should wait for the end of one.

    Raises:
        NotHttpError: it cannot.
    """
    if len(data) > HEAD_BYTES_MAX:
        raise NotHttpError("too long a head")
    _Reading(answer=answer).feed(data)


def request_head(raw: bytes) -> Request:
    """Read the whole head of a request.

    Raises:
        NotHttpError: it is none.
    """
    reading = _Reading(answer=False)
    reading.feed(raw)
    parser = reading.parser
    if not reading.complete or reading.framing == "close" or parser.get_http_version() < "1":
        raise NotHttpError("not a request")  # of HTTP/0.9 only a path, and no head comes back
    is_own = reading.agent == OWN_AGENT
    probe = _probe(reading.probe) if is_own and reading.probe else None
    return Request(
        raw=_without_probe(raw) if probe else raw,
        method=parser.get_method().decode("latin-1"),
        path=_path(bytes(reading.url)),
        framing=reading.framing or "none",
        keeps_alive=parser.should_keep_alive(),
        expects=reading.expects,
        upgrades=reading.upgrades,
        is_own=is_own,
        probe=probe,
    )


def response_head(raw: bytes) -> Response:
    """Read the whole head of an answer.

    Raises:
        NotHttpError: it is none.
    """
    reading = _Reading(answer=True)
    reading.feed(raw)
    if not reading.complete:
        raise NotHttpError("not an answer")
    framing = "close" if reading.framing is None else reading.framing
    return Response(reading.parser.get_status_code(), framing)


class _Reading:
    """What llhttp says of one head; its callbacks are named by httptools."""

    __slots__ = ("agent", "complete", "expects", "framing", "parser", "probe", "upgrades", "url")

    def __init__(self, *, answer: bool) -> None:
        kind = httptools.HttpResponseParser if answer else httptools.HttpRequestParser
        self.parser: Any = kind(self)
        self.complete = False
        self.expects = False
        self.upgrades = False
        self.framing: Framing | None = None
        self.probe = self.agent = b""
        self.url = bytearray()

    def feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgrades = True
        except httptools.HttpParserError as error:
            raise NotHttpError(str(error)) from error

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-length" if self.framing is None:
                self.framing = int(value)
            case b"transfer-encoding":
                last = value.rpartition(b",")[2].strip().lower()
                self.framing = "chunked" if last == b"chunked" else "close"
            case b"expect":
                self.expects = value.lower() == b"100-continue"
            case b"user-agent":
                self.agent = value
            case b"chaos-lab-probe":
                self.probe = value

    def on_headers_complete(self) -> None:
        self.complete = True


def _reader(framing: Framing) -> Body | None:
    if framing in {"none", 0}:
        return None
    if framing == "chunked":
        return Chunked()
    return Length(framing) if isinstance(framing, int) else UntilClose()


def _path(target: bytes) -> str:
    """The path of a request's target; of `http://host/path`, as proxies are asked, too."""
    if not target.startswith(b"/"):
        _, scheme, rest = target.partition(b"://")
        if scheme:
            target = b"/" + rest.partition(b"/")[2]
    return target.partition(b"?")[0].decode("latin-1")


def _probe(value: bytes) -> Probe | None:
    words = value.decode("latin-1").split(" ")
    return Probe(*words) if len(words) == 3 else None


def _without_probe(raw: bytes) -> bytes:
    before, line, after = raw.partition(_PROBE_LINE)
    return before + b"\r\n" + after.partition(b"\r\n")[2] if line else raw
