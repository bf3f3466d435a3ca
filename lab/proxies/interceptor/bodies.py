"""Bodies of HTTP/1 messages: how far they reach, read along while the bytes pass (RFC 9112, 6).

Each reader is asked how much of some bytes belongs to its body. With `room`, so many bytes of
content may pass, and never the end: the body is then `cut`, one byte early if need be.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

_LINE_BYTES_MAX = 1 << 14


class NotHttpError(Exception):
    """These bytes are not HTTP/1 as this interceptor understands it."""


class Body(ABC):
    """One body. `done` once its last byte has passed; `cut` once no more of it may."""

    __slots__ = ("cut", "done", "room")

    def __init__(self) -> None:
        self.done = False
        self.cut = False
        self.room: int | None = None

    @abstractmethod
    def take(self, data: bytes) -> int:
        """How many of these bytes, from the first on, belong to it and may pass.

        Raises:
            NotHttpError: they break its framing.
        """

    def shorten(self, room: int) -> None:
        """Let so many bytes of content pass at most, and not the end."""
        self.room = room
        self.cut = room == 0

    def _passing(self, size: int) -> int:
        """How much of so much content may pass."""
        if self.room is None:
            return size
        passing = min(size, self.room)
        self.room -= passing
        self.cut = self.room == 0
        return passing


class Length(Body):
    """So many bytes."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = size

    def take(self, data: bytes) -> int:
        """Up to what was promised."""
        passing = self._passing(min(len(data), self._left))
        self._left -= passing
        self.done = self._left == 0
        return passing

    def shorten(self, room: int) -> None:
        """At least one byte less than was promised."""
        super().shorten(min(room, self._left - 1))


class UntilClose(Body):
    """All bytes until the end of the connection, which only the connection knows."""

    __slots__ = ()

    def take(self, data: bytes) -> int:
        """All of them."""
        return self._passing(len(data))


class Chunked(Body):
    """Chunks with their sizes, then trailers (RFC 9112, 7.1)."""

    __slots__ = ("_at", "_left", "_line")

    def __init__(self) -> None:
        super().__init__()
        self._at = "size"
        self._left = 0
        self._line = b""

    def take(self, data: bytes) -> int:
        """Up to the empty line behind the last chunk and its trailers."""
        at = 0
        while at < len(data) and not (self.done or self.cut):
            if self._at == "content":
                passing = self._passing(min(self._left, len(data) - at))
                at += passing
                self._left -= passing
                if self._left == 0:
                    self._at = "end"
                continue
            begin = at
            at = self._read_line(data, at)
            if self.cut:
                return begin
        return at

    def _read_line(self, data: bytes, at: int) -> int:
        """Read on in a line, and what it says once it is whole."""
        end = data.find(b"\n", at)
        self._line += data[at:] if end < 0 else data[at:end]
        if len(self._line) > _LINE_BYTES_MAX:
            raise NotHttpError("too long a line in a chunked body")
        if end < 0:
            return len(data)
        line, self._line = self._line.removesuffix(b"\r"), b""
        self._understand(line)
        return end + 1

    def _understand(self, line: bytes) -> None:
        match self._at:
            case "size":
                self._left = _size(line)
                if self._left == 0 and self.room is not None:
                    self.cut = True  # all content has passed; the end must not
                self._at = "content" if self._left else "trailer"
            case "end":
                if line:
                    raise NotHttpError("a chunk is longer than its size")
                self._at = "size"
            case _:
                self.done = not line


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        if digits.isalnum():  # or int() takes signs and underscores, too
            return int(digits, 16)
    except ValueError:
        pass
    raise NotHttpError("no size of a chunk")
