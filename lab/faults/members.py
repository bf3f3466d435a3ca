"""Who a partition is about: `app` (all replicas), `app-2`, a pattern like `app-*`, or `client`."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase

from lab.plan import LinkEnd
from lab.topology import CLIENT


def means(member: str, service: str, host: str) -> bool:
    """Whether it means this replica; no pattern means `client`, so nobody is cut off unseen."""
    if host == CLIENT:
        return member == CLIENT
    return any(fnmatchcase(name, member) for name in (service, host))


def is_client(end: LinkEnd, members: Collection[str]) -> bool:
    """Whether one of them is the client of this link end."""
    return any(means(member, end.link.client, end.client_host) for member in members)


def is_server(end: LinkEnd, members: Collection[str]) -> bool:
    """Whether one of them is its server."""
    return any(means(member, end.link.server, end.server.host) for member in members)
