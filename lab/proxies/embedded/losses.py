"""Toxics that lose bytes, and therefore the connection: timeout, reset_peer, limit_data."""

from __future__ import annotations

import time

from lab.proxies import Toxic
from lab.proxies.embedded.flow import Flow
from lab.proxies.embedded.stage import Stage, TimedStage


class Timeout(TimedStage):
    """Bytes vanish. What has lost bytes cannot go on, so it closes when the toxic leaves."""

    __slots__ = ("_ending", "_idle_since_s")

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._idle_since_s = 0.0
        self._ending = False

    def start(self) -> None:
        """Silence counts from now."""
        self._idle_since_s = time.monotonic()
        self.changed()

    def changed(self) -> None:
        """Silence may last shorter or longer."""
        self.drop()
        timeout_ms = self.attribute("timeout")
        if timeout_ms > 0 and not self.over and not self._ending:
            self._wake(self._idle_since_s + timeout_ms / 1000)

    def feed(self, data: bytes | memoryview, at_s: float) -> None:  # noqa: ARG002
        """Swallow it; the time starts anew."""
        self._idle_since_s = at_s

    def end(self) -> None:
        """The end passes."""
        self._ending = True
        self.drop()
        self.next.end()

    def leave(self) -> None:
        """Close."""
        self.drop()
        if not self._ending:
            self.break_off()

    def _woken(self) -> None:
        self._call = None
        due_s = self._idle_since_s + self.attribute("timeout") / 1000
        if due_s > time.monotonic() + 0.000_05:
            self._wake(due_s)  # something came meanwhile
        else:
            self.break_off()


class ResetPeer(TimedStage):
    """The first byte, or the end, condemns the connection."""

    __slots__ = ("_condemned",)

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._condemned = False

    @property
    def full(self) -> bool:
        """Nothing else is of interest then."""
        return self._condemned

    def feed(self, data: bytes | memoryview, at_s: float) -> None:  # noqa: ARG002
        """Swallow it and start the clock."""
        self.end()

    def end(self) -> None:
        """Start the clock."""
        if self._condemned:
            return
        self._condemned = True
        timeout_ms = self.attribute("timeout")
        if timeout_ms > 0:
            self._wake(time.monotonic() + timeout_ms / 1000)
        else:
            self._woken()

    def leave(self) -> None:
        """Its bytes are gone, so it cannot go on."""
        self.drop()
        if self._condemned:
            self._woken()

    def _woken(self) -> None:
        self._call = None
        self.over = True
        self.flow.ends.reset()


class LimitData(Stage):
    """Closes after so many bytes."""

    __slots__ = ("_passed_bytes",)

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._passed_bytes = 0

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """Pass on what may still pass."""
        if self.over:
            return
        rest = data[: max(0, self.attribute("bytes") - self._passed_bytes)]
        self._passed_bytes += len(rest)
        if rest:
            self.next.feed(rest, at_s)
        if self._passed_bytes >= self.attribute("bytes"):
            self.break_off()
