"""Targets that are no names but say whom to look for: `leader of etcd`, `one of app`. Pure.

    [COUNT] [ROLE] of SERVICE

COUNT is `one`, a number, `minority` or `majority` (of how many there are), drawn from the run's
seed. ROLE is a fact that is found out when the fault is injected (`lab.targets`). One of the two
is there. SERVICE is a service, a replica or a pattern like `db*`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lab.topology import CLIENT

Found = Mapping[str, Collection[str]]
"""The unique names of the instances that a selection turned out to be, by the text of it."""

NOTHING_FOUND: Found = {}

_SELECTION = re.compile(
    r"(?:(?P<count>one|\d+|minority|majority)\s+)?(?:(?P<role>[a-z]+)\s+)?of\s+(?P<service>\S+)"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a text like `2 replicas of db*` says; `role` is "" for any, `count` "" for all."""

    count: str
    role: str
    service: str

    def size(self, candidates: int) -> int:
        """How many of so many it means."""
        match self.count:
            case "":
                return candidates
            case "one":
                return 1
            case "minority":
                return (candidates - 1) // 2
            case "majority":
                return candidates // 2 + 1
        return int(self.count)


def parse_selection(text: str) -> Selection | None:
    """What it says; None for a plain name or pattern.

    Raises:
        ValueError: it is neither of them.
    """
    text = text.strip()
    if not any(letter.isspace() for letter in text):
        return None
    found = _SELECTION.fullmatch(text)
    if not found or not (found["count"] or found["role"]) or found["count"] == "0":
        raise ValueError(
            f"`{text}` is no name: write whom of what, like leader of etcd, one of app"
        )
    return Selection(found["count"] or "", found["role"] or "", found["service"])


def means(target: str, name: str, service: str, host: str, found: Found) -> bool:
    """Whether a name, pattern or selection means the instance of that unique name.

    A selection that nobody has made yet means all that it may turn out to be. No pattern means
    `client`, so nobody is cut off unseen.
    """
    if host == CLIENT:
        return target == CLIENT
    if target in found:
        return name in found[target]
    selection = parse_selection(target)
    pattern = selection.service if selection else target
    return any(fnmatchcase(word, pattern) for word in (service, host))


def ends_of_link(link: str) -> tuple[str, str, str]:
    """Client, server and port of `app -> primary of db:5432`; the port may be ""."""
    client, _, right = (part.strip() for part in link.partition("->"))
    server, _, port = right.partition(":")
    return client, server.strip(), port.strip()
