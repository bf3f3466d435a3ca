"""Single key presses from an interactive terminal, without ever waiting for one.

The terminal is put into cbreak mode without echo, so that a key does not disturb the picture, and
back again on leaving, whatever happens. Ctrl-C stays a signal. Where standard input is no terminal
nothing is read at all.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


def _in_front() -> bool:
    """Whether a person can press keys: a job in the background that tried would be stopped."""
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # a terminal, but not the one that this process belongs to
        return False


class Keys:
    """Tells a callback of each key while it is open."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pressed: Callable[[str], None]) -> None:
        self._loop = loop
        self._pressed = pressed
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if _in_front():
            file = sys.stdin.fileno()
            self._before = termios.tcgetattr(file)
            atexit.register(self._restore)
            tty.setcbreak(file, termios.TCSADRAIN)
            self._loop.add_reader(file, self._read)
        return self

    def _read(self) -> None:
        data = os.read(sys.stdin.fileno(), 64)
        if not data:
            self._loop.remove_reader(sys.stdin.fileno())
        for key in data.decode(errors="replace"):
            self._pressed(key)

    def _restore(self) -> None:
        if self._before is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._before)
            self._before = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            self._loop.remove_reader(sys.stdin.fileno())
            self._restore()
            atexit.unregister(self._restore)
