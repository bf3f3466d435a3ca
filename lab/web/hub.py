"""Wakes pages when a recording grows: the run is in one thread, the pages in another."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from lab.messages import Message
from lab.web.recording import Recording


class Hub:
    """A growing recording and the pages that follow it.

    `emit` is called from the run's thread and only appends; everything that takes time happens in
    the server's thread, and nothing at all while no page is open.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.pages = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._grown = asyncio.Event()
        self._closing = False

    def bind(self) -> None:
        """Called once in the server's loop."""
        self._loop = asyncio.get_running_loop()

    def emit(self, message: Message) -> None:
        """One more message of the run; from any thread."""
        self.recording.append(message)
        self._wake()

    def close(self) -> None:
        """End every stream; from any thread."""
        self._closing = True
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the server has ended
                self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._closing or not self.recording.growing

    async def grown(self, count: int, timeout_s: float) -> bool:
        """Wait until there are more than `count` messages, or the end; False when time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.recording) <= count and not self.over:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True
