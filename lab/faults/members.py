"""Who a partition is about: `app`, `app-2`, a pattern, `client`, or a selection."""

from __future__ import annotations

from collections.abc import Collection

from lab.plan import LinkEnd
from lab.selection import Found, means


def is_client(end: LinkEnd, members: Collection[str], found: Found) -> bool:
    """Whether one of them is the client of this link end."""
    return any(means(m, end.client, end.link.client, end.client_host, found) for m in members)


def is_server(end: LinkEnd, members: Collection[str], found: Found) -> bool:
    """Whether one of them is its server."""
    name, host = end.server.name, end.server.host
    return any(means(m, name, end.link.server, host, found) for m in members)
