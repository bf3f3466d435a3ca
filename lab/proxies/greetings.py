"""Harmless bytes that make a server answer, little or much, by its port."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from lab.proxies import Stream

# PostgreSQL's SSLRequest (protocol docs, "Message Formats"), Redis's PING, and a plain HTTP request
# for everything else. That one does not ask for the connection to be closed: then even a swallowed
# answer would end the silence. By its User-Agent an interceptor knows that nobody means it.
OWN_AGENT = b"chaos-lab-probe"
GREETINGS = {5432: bytes([0, 0, 0, 8, 4, 210, 22, 47]), 6379: b"PING\r\n"}
HTTP_GREETING = b"GET /healthz HTTP/1.1\r\nHost: lab\r\nUser-Agent: " + OWN_AGENT + b"\r\n\r\n"


def greeting(port: int) -> bytes:
    """What to say to a server that usually listens on this port."""
    return GREETINGS.get(port, HTTP_GREETING)


# Heads of this size are taken by every server: nginx's buffers for long ones are 8 KiB each
# (large_client_header_buffers).
_HTTP_PADDED = 4000
_HTTP_ANSWER = 100  # no answer with a date and a length is shorter
_HTTP_LAST = b"Connection: close\r\n\r\n"
_POSTGRES_MOST = 9_000  # MAX_STARTUP_PACKET_LENGTH is 10,000
_POSTGRES_VERSION = 3 << 16

Saying = Sequence[tuple[str, int]]
"""Texts (one character a byte) and how often each is said."""


def conversation(port: int, stream: Stream, size_bytes: int) -> Saying:
    """What carries about so many bytes to the server or back, after which the server closes.

    PostgreSQL takes and gives 9 kB at most: it says which options of the protocol it does not know
    (NegotiateProtocolVersion) and that a user is missing, before it takes one of its connections.
    """
    if port == 5432:
        return _startup(min(size_bytes, _POSTGRES_MOST))
    if port == 6379:
        head, text = f"*2\r\n$4\r\nPING\r\n${size_bytes}\r\n", "x"
        return [(head, 1), (text, size_bytes), ("\r\nQUIT\r\n", 1)]
    start = HTTP_GREETING[:-2].decode()
    if stream == "downstream":
        return [(start + "\r\n", size_bytes // _HTTP_ANSWER), (start + _HTTP_LAST.decode(), 1)]
    padding = "X-Padding: " + "x" * (_HTTP_PADDED - len(start) - 15) + "\r\n"
    times = max(1, round(size_bytes / _HTTP_PADDED))
    said = [(start + padding + "\r\n", times - 1), (start + padding + _HTTP_LAST.decode(), 1)]
    return [(text, number) for text, number in said if number]


def _startup(size_bytes: int) -> Saying:
    """A StartupMessage with one long option of the protocol and no user."""
    name = b"_pq_." + b"x" * max(1, size_bytes - 16) + b"\0"
    body = struct.pack("!I", _POSTGRES_VERSION) + name + b"1\0\0"
    return [((struct.pack("!I", len(body) + 4) + body).decode("latin-1"), 1)]


def spoken(saying: Saying) -> bytes:
    """All its bytes."""
    return b"".join(text.encode("latin-1") * times for text, times in saying)
