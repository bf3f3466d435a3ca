"""Who is who, found out when a fault is injected. A new fact is a file here and a line below.

`leader of etcd` asks a resolver, `one of app` only the run's seed; `lab.selection` reads the words.
"""

from __future__ import annotations

from typing import Final

from lab.targets.base import Resolver, Roles
from lab.targets.choice import Choice
from lab.targets.etcd import Etcd
from lab.targets.postgres import Postgres
from lab.targets.valkey import Valkey

RESOLVERS: Final[tuple[Resolver, ...]] = (
    Etcd(),
    Postgres(),
    Valkey(),
)
"""Every system that the lab can ask who is who."""

ROLES: Final[tuple[str, ...]] = tuple(
    sorted({role for resolver in RESOLVERS for role in resolver.roles})
)
"""The words that may stand before `of`."""

__all__ = ["RESOLVERS", "ROLES", "Choice", "Resolver", "Roles"]
