"""Everyone who is told what a run says: the terminal, the replay on disk, the live page.

None of them can fail or slow the run: the page only appends to a list, a full disk ends the
replay, and a port that cannot be had is said once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.errors import EngineError
from lab.live.keys import Keys
from lab.live.terminal import Terminal
from lab.messages import Guess, Guessed, Message
from lab.store import MessageLog
from lab.web import PageServer


class Audience:
    """Hands every message of a run on, and predictions of a person back into the run's stream.

    Args:
        terminal: shows progress.
        folder: of the run, for its messages.
    """

    def __init__(self, terminal: Terminal, folder: Path) -> None:
        self._terminal = terminal
        self._log = MessageLog(folder)
        self._page: PageServer | None = None
        self._told = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stack = ExitStack()

    def follow(self, page: PageServer) -> None:
        """Tell the live page as well."""
        self._page = page

    def emit(self, message: Message) -> None:
        """Take one message of the run, in the run's thread."""
        self._terminal.emit(message)
        self._log.write(message)
        if self._log.trouble and not self._told:
            self._told = True
            self._terminal.say(self._log.trouble)
        if self._page is not None:
            self._page.emit(message)

    def guess(self, message: Guessed) -> None:
        """A prediction, from any thread: it takes its place in the run's stream."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the run has ended meanwhile
                self._loop.call_soon_threadsafe(self.emit, message)

    def __enter__(self) -> Self:
        """To be entered in the run's loop."""
        self._loop = asyncio.get_running_loop()
        if self._terminal.mode == "live":
            self._stack.enter_context(Keys(self._loop, self._key))
        return self

    def _key(self, key: str) -> None:
        """A design's number: first it breaks, once more and it holds."""
        state = self._terminal.state
        names = list(state.designs)
        if key.isdecimal() and 0 < int(key) <= len(names) and state.may_guess:
            name = names[int(key) - 1]
            guess: Guess = "holds" if state.designs[name].guess == "breaks" else "breaks"
            self.emit(Guessed(state.clock_s, name, guess))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        self._log.close()

    def release(self) -> None:
        """Give the terminal back as it was."""
        self._stack.close()


def wants_page(asked: bool | None) -> bool:  # noqa: FBT001 - three states: yes, no, by itself
    """Whether to serve the live page: as asked, else where a person sits in front of it."""
    if asked is not None:
        return asked
    return sys.stderr.isatty() and not os.environ.get("CI")


def show_page(stack: ExitStack, server: PageServer, terminal: Terminal, *, browse: bool) -> bool:
    """Serve, say where, and open a browser if asked; False where the page cannot be had."""
    try:
        stack.enter_context(server)
    except EngineError as error:
        terminal.say(str(error))
        return False
    terminal.say(f"watch it: {server.address}")
    if browse:
        browse_to(server.address)
    return True


def browse_to(address: str) -> None:
    """Open a browser without waiting for it."""
    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
