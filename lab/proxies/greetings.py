"""Harmless first bytes that make a server answer, by its port."""

from __future__ import annotations

# PostgreSQL's SSLRequest (protocol docs, "Message Formats"), Redis's PING, and a plain HTTP request
# for everything else. That one does not ask for the connection to be closed: then even a swallowed
# answer would end the silence.
GREETINGS = {5432: bytes([0, 0, 0, 8, 4, 210, 22, 47]), 6379: b"PING\r\n"}
HTTP_GREETING = b"GET /healthz HTTP/1.1\r\nHost: lab\r\nUser-Agent: chaos-lab\r\n\r\n"


def greeting(port: int) -> bytes:
    """What to say to a server that usually listens on this port."""
    return GREETINGS.get(port, HTTP_GREETING)
