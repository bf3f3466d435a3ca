"""The channel to a load driver, and what its clock reads compared with ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from lab.errors import EngineError

_PINGS = 15


class Channel(Protocol):
    """JSON lines to and from a process, wherever it runs."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        ...

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Messages as they come, until it ends."""
        ...


class TalkingDriver:
    """`lab.engines.Driver` over a channel."""

    def __init__(self, design: str, channel: Channel) -> None:
        self.design = design
        self.clock_offset_s = 0.0
        self.clock_uncertainty_s = float("inf")
        self._channel = channel
        self._messages = channel.messages()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Hand one message to the driver."""
        await self._channel.send(message)

    def messages(self) -> AsyncIterator[dict[str, Any]]:
        """The driver's messages, until it ends."""
        return self._messages

    async def compare_clocks(self) -> None:
        """Learn the offset as NTP does (RFC 5905 section 8).

        The reading was made between question and answer; the quickest exchange leaves least room.

        Raises:
            EngineError: the driver ended instead of answering.
        """
        for number in range(_PINGS):
            asked_s = time.monotonic()
            await self.send({"do": "ping", "n": number})
            answer = await anext(self._messages, None)
            heard_s = time.monotonic()
            if answer is None or answer.get("is") != "pong":
                raise EngineError(f"the load driver of {self.design} ended instead of answering")
            uncertainty_s = (heard_s - asked_s) / 2
            if uncertainty_s < self.clock_uncertainty_s:
                self.clock_uncertainty_s = uncertainty_s
                self.clock_offset_s = (asked_s + heard_s) / 2 - float(answer["clock_s"])
