"""Toxics that let every byte through, but later: latency, bandwidth, slow_close, slicer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from random import Random

from lab.proxies import Toxic
from lab.proxies.embedded.flow import Flow
from lab.proxies.embedded.stage import TimedStage

_LATE_CHUNKS_MAX = 1024
_LATE_BYTES_MAX = 32 * 2**20
_PIECE_MS = 100  # bandwidth sends what takes longer than this in pieces
_CATCH_UP_S = 0.02

Chunk = tuple[float, bytes | memoryview, float]


class Latency(TimedStage):
    """Chunks keep their order and their distance from each other."""

    __slots__ = ("_bytes", "_ending", "_late", "_random")

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._late: deque[Chunk] = deque()  # due, data, when it came
        self._bytes = 0
        self._ending = False
        self._random: Random | None = None

    @property
    def full(self) -> bool:
        """As many chunks as Toxiproxy keeps, and as many bytes as its chunks can hold."""
        return len(self._late) >= _LATE_CHUNKS_MAX or self._bytes >= _LATE_BYTES_MAX

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """Keep it until it is late enough."""
        due_s = at_s + self._delay_s()
        self._late.append((due_s, bytes(data), at_s))
        self._bytes += len(data)
        if len(self._late) == 1:
            self._wake(due_s)

    def end(self) -> None:
        """The end itself is not late: it follows the last chunk."""
        self._ending = True
        if not self._late:
            self.next.end()

    def changed(self) -> None:
        """What is kept becomes due by the new delay."""
        self._late = deque((at_s + self._delay_s(), data, at_s) for _, data, at_s in self._late)
        if self._late:
            self._wake(self._late[0][0])

    def leave(self) -> None:
        """Everything at once."""
        self.drop()
        while self._late:
            self._pass_on()
        if self._ending:
            self.next.end()

    def _woken(self) -> None:
        self._call = None
        while self._late and self._late[0][0] <= time.monotonic() + 0.000_05:
            self._pass_on()
        if self._late:
            self._wake(self._late[0][0])
        elif self._ending:
            self.next.end()
        self.flow.update()

    def _pass_on(self) -> None:
        due_s, data, _ = self._late.popleft()
        self._bytes -= len(data)
        self.next.feed(data, due_s)

    def _delay_s(self) -> float:
        delay_ms, jitter_ms = self.attribute("latency"), self.attribute("jitter")
        if jitter_ms > 0:
            if self._random is None:
                self._random = self.flow.ends.random(f"{self.toxic.name} jitter")
            delay_ms += self._random.randrange(2 * jitter_ms) - jitter_ms
        return delay_ms / 1000


class Bandwidth(TimedStage):
    """Each chunk arrives when its last byte would have; long ones in pieces."""

    __slots__ = ("_ending", "_free_s", "_waiting")

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._waiting: deque[tuple[bytes | memoryview, float]] = deque()
        self._free_s = 0.0
        self._ending = False

    @property
    def full(self) -> bool:
        """A line holds one chunk."""
        return bool(self._waiting)

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """Queue it."""
        self._waiting.append((memoryview(bytes(data)), at_s))
        if self._call is None:
            self._go_on()

    def end(self) -> None:
        """The end follows the last byte."""
        self._ending = True
        if not self._waiting:
            self.next.end()

    def changed(self) -> None:
        """The rest goes at the new rate."""
        self.drop()
        self._free_s = 0.0
        self._go_on()

    def leave(self) -> None:
        """The rest goes at once."""
        self.drop()
        while self._waiting:
            self.next.feed(*self._waiting.popleft())
        if self._ending:
            self.next.end()

    def _go_on(self) -> None:
        rate = self.attribute("rate")
        if not self._waiting or rate <= 0:
            return  # at no rate at all nothing ever passes
        now_s = time.monotonic()
        if self._free_s < now_s - _CATCH_UP_S:
            self._free_s = now_s  # it was idle; what timers were late, though, is made up for
        piece = min(len(self._waiting[0][0]), rate * _PIECE_MS)
        self._free_s += piece / (rate * 1000)
        self._wake(self._free_s)

    def _woken(self) -> None:
        self._call = None
        data, at_s = self._waiting.popleft()
        piece = self.attribute("rate") * _PIECE_MS
        if len(data) > piece:
            self._waiting.appendleft((data[piece:], at_s))
        self.next.feed(data[:piece], at_s)
        if self._waiting:
            self._go_on()
        elif self._ending:
            self.next.end()
        self.flow.update()


class SlowClose(TimedStage):
    """The end of the stream arrives late."""

    __slots__ = ("_ended_s",)

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._ended_s: float | None = None

    def end(self) -> None:
        """Keep it for a while."""
        self._ended_s = time.monotonic()
        self.changed()

    def changed(self) -> None:
        """The while is another one."""
        if self._ended_s is not None:
            self._wake(self._ended_s + self.attribute("delay") / 1000)

    def leave(self) -> None:
        """End now."""
        self.drop()
        if self._ended_s is not None:
            self.next.end()

    def _woken(self) -> None:
        self._call = None
        self._ended_s = None
        self.next.end()


class Slicer(TimedStage):
    """Chunks arrive in slices, one after the other."""

    __slots__ = ("_ending", "_random", "_slices")

    def __init__(self, flow: Flow, toxic: Toxic) -> None:
        super().__init__(flow, toxic)
        self._slices: deque[tuple[memoryview, float]] = deque()
        self._ending = False
        self._random: Random | None = None

    @property
    def full(self) -> bool:
        """One chunk after the other."""
        return bool(self._slices)

    def feed(self, data: bytes | memoryview, at_s: float) -> None:
        """Cut it up."""
        view = memoryview(bytes(data))
        self._slices.extend(
            (view[begin:end], at_s) for begin, end in self._cuts(0, len(view)) if end > begin
        )
        if self._call is None:
            self._woken()

    def end(self) -> None:
        """The end follows the last slice."""
        self._ending = True
        if not self._slices and self._call is None:
            self.next.end()

    def leave(self) -> None:
        """The rest goes at once, in one."""
        self.drop()
        if self._slices:
            rest = b"".join(piece for piece, _ in self._slices)
            at_s = self._slices[0][1]
            self._slices.clear()
            self.next.feed(rest, at_s)
        if self._ending:
            self.next.end()

    def _woken(self) -> None:
        self._call = None
        delay_us = self.attribute("delay")
        while self._slices:
            self.next.feed(*self._slices.popleft())
            if delay_us > 0:
                self._wake(time.monotonic() + delay_us / 1e6)
                break
        else:
            if self._ending:
                self.next.end()
        self.flow.update()

    def _cuts(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Halves of halves until they are small enough, their middles varied."""
        average, variation = (
            max(1, self.attribute("average_size")),
            self.attribute("size_variation"),
        )
        if end - begin - average <= max(0, variation):
            yield begin, end
            return
        middle = begin + (end - begin) // 2
        if variation > 0:
            if self._random is None:
                self._random = self.flow.ends.random(f"{self.toxic.name} sizes")
            middle += self._random.randrange(2 * variation) - variation
            middle = min(max(middle, begin + 1), end - 1)
        yield from self._cuts(begin, middle)
        yield from self._cuts(middle, end)
