"""What is put in force again and again as long as a fault lasts: services write and start anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from .groups import InsideError

HOLD_S = 0.02
"""How often; a service that was started anew is without the fault for so long at most."""


Key = tuple[str, ...]
"""What kind, of which container, and more where that is not enough."""


class Held(Protocol):
    """Something in force. Both methods may be called at any time, also when nothing runs."""

    def hold(self) -> None:
        """Put it in force where it is not."""
        ...

    def release(self) -> None:
        """Take it away."""
        ...


class Holder:
    """Holds things in force, each under a key of its own; one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[Key, Held] = {}
        self._turn = asyncio.Lock()
        self._holding: asyncio.Task[None] | None = None

    async def _keep(self, key: Key, held: Held) -> None:
        """In force now, and until let go."""
        async with self._turn:
            self._held[key] = held
            await self._work(held.hold)
        if self._holding is None or self._holding.done():
            self._holding = asyncio.create_task(self._hold())

    async def _let_go(self, key: Key) -> None:
        """Not in force any more; nothing when it was not."""
        async with self._turn:
            if held := self._held.get(key):
                await self._work(held.release)
                del self._held[key]

    async def release_all(self) -> None:
        """Nothing is in force any more; one that fails stops no other."""
        for key in list(self._held):
            with contextlib.suppress(Exception):
                await self._let_go(key)

    async def _work(self, work: Callable[[], None]) -> None:
        """Do something that takes a moment, beside the orders."""
        await asyncio.to_thread(work)

    async def _hold(self) -> None:
        while self._held:
            await asyncio.sleep(HOLD_S)
            async with self._turn:
                await self._work(self._hold_all)

    def _hold_all(self) -> None:
        for held in self._held.values():
            with contextlib.suppress(OSError, InsideError):  # a service just ends or begins
                held.hold()
