"""Who is who, found out when a fault is injected. A new fact is a file here and a line below.

`leader of etcd` asks a resolver, `one of app` only the run's seed; `lab.selection` reads the words.
"""

from __future__ import annotations

from typing import Final

from lab.plan import Deployment
from lab.selection import parse_selection
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


def misfit(text: str, deployment: Deployment) -> tuple[str, str] | None:
    """Why nobody whom a selection may mean can ever have its role, and who could; or None.

    Told from the services as they are written, without any of them.
    """
    selection, meant = parse_selection(text), deployment.instances_of(text)
    if selection is None or not selection.role or not meant:
        return None
    able = {
        instance.service.name
        for instance in deployment.instances
        for resolver in RESOLVERS
        if selection.role in resolver.roles and resolver.knows(instance.service)
    }
    if any(instance.service.name in able for instance in meant):
        return None
    needs = ", or ".join(r.what for r in RESOLVERS if selection.role in r.roles)
    hint = f"no service can: it takes {needs}"
    if able:
        hint = f"write {selection.role} of {' or '.join(sorted(able))}"
    return f"nobody of `{selection.service}` can be {selection.role}", hint


__all__ = ["RESOLVERS", "ROLES", "Choice", "Resolver", "Roles", "misfit"]
