"""The orchestrator's end of the network agent (`agent/`): orders out, answers back."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from lab.engines.docker.channel import Channel
from lab.errors import EngineError

_SLACK_S = 5.0


class Agent:
    """Orders to the agent of one run; any number may be under way at once.

    `name` is how errors call it: another process of the lab may take orders in the same way.
    `lacks` is what its kernel cannot do to packets, in the kernel's words: `share`, `queue`.
    """

    def __init__(self, channel: Channel, name: str = "the network agent") -> None:
        self.lacks: dict[str, str] = {}
        self._channel = channel
        self._name = name
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())

    @property
    def has_ended(self) -> bool:
        """Whether nobody takes orders any more."""
        return self._reader.done()

    async def order(self, do: str, **arguments: Any) -> Any:
        """What the agent answers; an argument `timeout_s` is how long the order may take.

        Raises:
            EngineError: it failed, did not answer in time, or the agent has ended.
        """
        if self._reader.done():
            raise EngineError(f"{self._name} has ended")
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._channel.send({"id": number, "do": do, **arguments})
            async with asyncio.timeout(arguments.get("timeout_s", 0.0) + _SLACK_S):
                return await answer
        except TimeoutError:
            raise EngineError(f"{self._name} did not answer to `{do}`") from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """Let it go."""
        await asyncio.to_thread(self._channel.close)
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for message in self._channel.messages():
                future = self._waiting.get(message["id"])
                if future and not future.done():
                    if "error" in message:
                        future.set_exception(EngineError(f"{self._name}: {message['error']}"))
                    else:
                        future.set_result(message["is"])
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(EngineError(f"{self._name} has ended"))
