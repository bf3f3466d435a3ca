"""The terminal during and after a run: live picture, plain lines, JSON lines, or nothing.

Progress goes to standard error, the result to standard output, so that `lab run > result.txt`
keeps just the result. Rich believes FORCE_COLOR even in a pipe and would then move the cursor about
in a log file; so whether a stream is a terminal is asked here, once, and Rich is told.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live

from lab.errors import UsageError
from lab.live import plain
from lab.live.reducer import RunState, step
from lab.live.result_table import result_table
from lab.live.screen import Screen
from lab.live.story import answer
from lab.messages import Message
from lab.record import Record
from lab.words import ascii_only

MODES = ("auto", "live", "plain", "none", "json")
_REFRESH_PER_S = 4
_PIPE_WIDTH = 140
"""Columns of the result where it goes to a file or a log: wide enough that no row wraps."""


class Terminal:
    """Draws a run's messages; use it as a context manager around the run.

    Args:
        mode: `auto` is `live` on a terminal that can move its cursor and `plain` elsewhere.
        progress: where progress goes, standard error by default.
        results: where the result goes, standard output by default.

    Raises:
        UsageError: there is no such mode.
    """

    def __init__(
        self, mode: str = "auto", progress: TextIO | None = None, results: TextIO | None = None
    ) -> None:
        if mode not in MODES:
            raise UsageError(
                f"`{mode}` is no way to show progress", remedy=f"one of: {', '.join(MODES)}"
            )
        self._progress = progress or sys.stderr
        self._results = results or sys.stdout
        can_draw = _can_move_cursor(self._progress) and _is_utf8(self._progress)
        self.mode = ("live" if can_draw else "plain") if mode == "auto" else mode
        self.state = RunState()
        self._screen = Screen()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.mode == "live":
            console = _console(self._progress, terminal=True)
            self._live = Live(self._screen, console=console, refresh_per_second=_REFRESH_PER_S)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def emit(self, message: Message) -> None:
        """Take one message of the run."""
        before = self.state
        self.state = self._screen.state = step(before, message)
        if self.mode == "plain":
            for line in plain.lines(before, self.state, message):
                self._print(line)
        elif self.mode == "json":
            self._print(plain.as_json(message))

    def say(self, text: str) -> None:
        """Tell the person something beside the run's own messages, whatever the mode."""
        if self._live:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            self._print(text)

    def show_result(self, record: Record, folder: Path) -> None:
        """Print the final table, and hand GitHub Actions its summary."""
        terminal = _can_move_cursor(self._results)
        console = _console(self._results, terminal=terminal)
        with console.capture() as captured:
            console.print(result_table(record, folder))
            for name in (n for n, design in self.state.designs.items() if design.guess):
                console.print(f"prediction  {name}: {answer(self.state, name)[1]}", markup=False)
        text = captured.get()
        if not terminal:
            text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
        self._results.write(text if _is_utf8(self._results) else ascii_only(text))
        self._results.flush()
        _summarise_on_github(folder)

    def _print(self, line: str) -> None:
        text = line if _is_utf8(self._progress) else ascii_only(line)
        print(text, file=self._progress, flush=True)


def _console(stream: TextIO, *, terminal: bool) -> Console:
    return Console(
        file=stream,
        force_terminal=terminal,
        force_interactive=terminal,
        no_color=True if not terminal or os.environ.get("NO_COLOR") else None,
        width=None if terminal else _PIPE_WIDTH,
        highlight=False,
        legacy_windows=False,
    )


def _can_move_cursor(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def _summarise_on_github(folder: Path) -> None:
    """Append the run's summary to the page of the GitHub Actions job, when in one."""
    page, summary = os.environ.get("GITHUB_STEP_SUMMARY"), folder / "summary.md"
    if page and summary.exists():
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(summary.read_text(encoding="utf-8") + "\n")
