"""Limits on open files, as the supervisor sets them: for instances by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import astuple
from functools import partial

from lab.engines.inside.files import FileLimit, limited
from lab.engines.inside.holder import Holder
from lab.engines.local.household import Household, Order, RefusedError


class FewFiles(Holder):
    """Orders about the files that processes of instances may have open."""

    def __init__(self, house: Household) -> None:
        super().__init__()
        self._house = house

    async def file_limits(self, order: Order) -> list[tuple[int, int, int, int]]:
        """Process, soft limit, hard limit and number of open files, for all of an instance."""
        if sys.platform != "linux":
            raise RefusedError("only Linux lets the limits of a process that runs be changed")
        return [astuple(one) for one in limited(self._house.members(order["name"]))]

    async def limit_files(self, order: Order) -> None:
        """No process may have more open, until that is taken back."""
        key = ("files", order["name"])
        held = self._held.get(key)
        if isinstance(held, FileLimit):
            held.files = order["files"]
        else:
            held = FileLimit(partial(self._house.members, order["name"]), order["files"])
        await self._keep(key, held)

    async def unlimit_files(self, order: Order) -> None:
        """As before."""
        await self._let_go(("files", order["name"]))

    async def _work(self, work: Callable[[], None]) -> None:
        """At once: the supervisor has no second thread."""
        work()
