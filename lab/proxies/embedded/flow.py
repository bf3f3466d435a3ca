"""One direction of one connection: what is read from a socket goes through toxics to the other.

    source --recv--> first stage -> … -> last stage -> Flow.feed --send--> sink

Nobody waits: what a stage or the sink cannot pass on at once it keeps, and the flow stops reading
until it has. So a chain can be changed at any moment, also while a peer does not read.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lab.proxies import Stream, Toxic
from lab.proxies.embedded.timers import Timers

if TYPE_CHECKING:
    import asyncio
    from random import Random

    from lab.proxies.embedded.stage import Stage

_READ_BYTES = 64 * 1024
# One buffer for all: it is filled, and sent or copied, within one callback.
_VIEW = memoryview(bytearray(_READ_BYTES))


@dataclass(slots=True)
class Tally:
    """What was passed on, both ways."""

    chunks: int = 0
    bytes: int = 0


class Outlet(Protocol):
    """Where a stage hands on what it has."""

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """A chunk that was read (or delayed until) `at_s`; a view only until this returns."""
        ...

    def end(self) -> None:
        """Nothing follows."""
        ...


class Ends(Protocol):
    """What a flow needs of its connection."""

    loop: asyncio.AbstractEventLoop
    timers: Timers
    tally: Tally
    held: frozenset[Stream]

    def random(self, what: str) -> Random:
        """Chance for one purpose: the same in every run with the same seed."""
        ...

    def close_side(self, side: socket.socket) -> None:
        """Close one of its sockets; doing it twice changes nothing."""
        ...

    def finished(self) -> None:
        """A flow has passed its last byte on."""
        ...

    def reset(self) -> None:
        """Reset both sides."""
        ...


class Flow:
    """The last outlet of the chain is the flow itself, which sends.

    `broken`: the sink is to be closed, and not only told that nothing follows.
    """

    __slots__ = (
        "_ended",
        "_finishing",
        "_queue",
        "_reading",
        "_writing",
        "broken",
        "done",
        "ends",
        "first",
        "sink",
        "source",
        "stages",
        "stream",
    )

    def __init__(
        self, ends: Ends, stream: Stream, source: socket.socket, sink: socket.socket
    ) -> None:
        self.ends = ends
        self.stream = stream
        self.source, self.sink = source, sink
        self.stages: list[Stage] = []
        self.first: Outlet = self
        self.broken = False
        self.done = False
        self._queue: deque[bytes | memoryview] = deque()
        self._ended = False  # nothing more comes from the source
        self._finishing = False  # nothing more comes from the chain
        self._reading = self._writing = False

    def insert(self, stage: Stage) -> None:
        """Put a stage at the end of the chain."""
        if self._finishing:
            return
        self.stages.append(stage)
        self.link()
        if stage.active:
            stage.start()

    def change(self, toxic: Toxic) -> None:
        """The toxic of that name is now this one."""
        for stage in [stage for stage in self.stages if stage.toxic.name == toxic.name]:
            was, stage.toxic = stage.active, toxic
            acts = stage.hit()
            if was and not acts and not stage.over:
                stage.leave()
            stage.active = acts
            self.link()
            if acts and not stage.over:
                stage.changed() if was else stage.start()
        self.update()

    def remove(self, name: str) -> None:
        """Take the stage of that toxic out."""
        for stage in [stage for stage in self.stages if stage.toxic.name == name]:
            if stage.active and not stage.over:
                stage.leave()
            stage.drop()
            if stage in self.stages:  # leaving may have been the end of the connection
                self.stages.remove(stage)
        self.link()
        self.update()

    def link(self) -> None:
        """Chain the stages that act."""
        if self.first is _NOWHERE:
            return
        following: Outlet = self
        for stage in reversed(self.stages):
            stage.next = following
            if stage.active:
                following = stage
        self.first = following

    def update(self) -> None:
        """Read if there is room for what comes, else do not."""
        wanted = not (
            self._ended
            or self._held
            or self._queue
            or any(stage.full for stage in self.stages if stage.active)
        )
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self.ends.loop.add_reader(self.source.fileno(), self._readable)
            else:
                self.ends.loop.remove_reader(self.source.fileno())

    def stop_reading(self) -> None:
        """Whatever else the source says is of no interest."""
        self._ended = True
        self.update()

    def hold(self) -> None:
        """This stream is held: neither read nor send."""
        self.update()
        if self._writing:
            self._writing = False
            self.ends.loop.remove_writer(self.sink.fileno())

    def release(self) -> None:
        """Go on."""
        self._writable()

    def unwatch(self, side: socket.socket) -> None:
        """That socket is about to be closed."""
        if side is self.source and self._reading:
            self._reading = False
            self.ends.loop.remove_reader(side.fileno())
        if side is self.sink and self._writing:
            self._writing = False
            self.ends.loop.remove_writer(side.fileno())

    def source_lost(self) -> None:
        """The source is closed or was reset: deliver what came of it, then close the sink."""
        self.broken = True
        if self.done:
            self.ends.close_side(self.sink)
        elif not self._ended:
            self.stop_reading()
            self.first.end()

    def forget(self) -> None:
        """The connection is gone."""
        self._ended = self._finishing = self.done = True
        self._queue.clear()
        for stage in self.stages:
            stage.drop()
            stage.next = self
        self.stages.clear()
        self.first = _NOWHERE

    def feed(self, data: bytes | memoryview, at_s: float) -> None:  # noqa: ARG002 - it is an outlet
        """Send, or keep what cannot be sent yet."""
        tally = self.ends.tally
        tally.chunks += 1
        tally.bytes += len(data)
        if self._queue or self._held or self.done:
            if not self.done:
                self._queue.append(bytes(data))
            return
        try:
            sent = self.sink.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._sink_lost()
            return
        if sent < len(data):
            self._queue.append(bytes(data[sent:]))
            self._wait_to_write()

    def end(self) -> None:
        """The chain has passed on everything."""
        if self._finishing:
            return
        self._finishing = True
        if not self._queue and not self._held:
            self._finish()

    @property
    def _held(self) -> bool:
        return self.stream in self.ends.held

    def _readable(self) -> None:
        try:
            count = self.source.recv_into(_VIEW)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.source_lost()
            return
        if not count:
            self.stop_reading()
            self.first.end()
            return
        if self.first is self:
            self.feed(_VIEW[:count], 0.0)
        else:
            self.first.feed(bytes(_VIEW[:count]), time.monotonic())
        if self._queue or self.stages:
            self.update()

    def _wait_to_write(self) -> None:
        if not self._writing:
            self._writing = True
            self.ends.loop.add_writer(self.sink.fileno(), self._writable)

    def _writable(self) -> None:
        queue = self._queue
        while queue:
            try:
                sent = self.sink.send(queue[0])
            except (BlockingIOError, InterruptedError):
                self._wait_to_write()
                return
            except OSError:
                self._sink_lost()
                return
            if sent < len(queue[0]):
                queue[0] = memoryview(queue[0])[sent:]
            else:
                queue.popleft()
        if self._writing:
            self._writing = False
            self.ends.loop.remove_writer(self.sink.fileno())
        if self._finishing and not self.done:
            self._finish()
        else:
            self.update()

    def _sink_lost(self) -> None:
        self._queue.clear()
        self._finishing = self.broken = True
        self.stop_reading()
        self._finish()

    def _finish(self) -> None:
        self.done = True
        if not self.broken:
            try:
                self.sink.shutdown(socket.SHUT_WR)
            except OSError:
                self.broken = True
        if self.broken:
            self.ends.close_side(self.sink)
        self.ends.finished()


class _Nowhere:
    """Where the chain of a connection that is gone leads."""

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """Too late."""

    def end(self) -> None:
        """Too late."""


_NOWHERE = _Nowhere()
