"""What a stage of a chain is: one toxic, acting on one direction of one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.proxies import Toxic
from lab.proxies.embedded.timers import Call

if TYPE_CHECKING:
    from lab.proxies.embedded.flow import Flow, Outlet


class Stage:
    """One toxic in one flow; this one changes nothing (Toxiproxy's `noop`).

    `next` is where its output goes. A stage that is `over` has broken the connection off.
    """

    __slots__ = ("active", "coin", "flow", "next", "over", "toxic")

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        self.flow = flow
        self.toxic = toxic
        self.next: Outlet = flow
        self.over = False
        self.coin: float | None = None
        self.active = self.hit()

    @property
    def full(self) -> bool:
        """Whether it has enough to do for now."""
        return False

    def attribute(self, name: str) -> int:
        """An attribute of the toxic."""
        return self.toxic.attributes.get(name, 0)

    def hit(self) -> bool:
        """Whether the toxic's toxicity lets it act on this connection: one toss for its life."""
        if self.toxic.toxicity >= 1:
            return True
        if self.coin is None:
            self.coin = self.flow.ends.random(self.toxic.name).random()
        return self.coin < self.toxic.toxicity

    def start(self) -> None:
        """It acts from now on."""

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """A chunk comes in."""
        self.next.feed(data, at_s)

    def end(self) -> None:
        """The last chunk has come in."""
        self.next.end()

    def changed(self) -> None:
        """The toxic has other attributes now."""

    def leave(self) -> None:
        """Hand on everything that is kept: the toxic acts no more."""

    def drop(self) -> None:
        """The connection is gone: forget everything."""

    def break_off(self) -> None:
        """Close the connection once what has passed this stage is delivered."""
        self.over = True
        self.flow.stop_reading()
        self.flow.broken = True
        self.next.end()


class TimedStage(Stage):
    """A stage that waits; one timer at most."""

    __slots__ = ("_call",)

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._call: Call | None = None

    def drop(self) -> None:
        """Wait no more."""
        if self._call:
            self._call.cancel()
            self._call = None

    def _wake(self, at_s: float) -> None:
        self.drop()
        self._call = self.flow.ends.timers.at(at_s, self._woken)

    def _woken(self) -> None:
        """The time has come."""
        raise NotImplementedError
