"""A person at a terminal: the page's address, a prediction by one key, the terminal as it was."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.e2e.support import PROJECT, QUICK

pytestmark = pytest.mark.local


class Terminal:
    """`lab` with a terminal of its own, as in a shell; everything it writes is kept."""

    def __init__(self, *args: str) -> None:
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.chdir(PROJECT)
            env = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40", "CI": ""}
            os.execvpe(sys.executable, [sys.executable, "-m", "lab", *args], env)  # noqa: S606
        self.text = ""

    @property
    def flags(self) -> int:
        """Echo and line by line, as a shell wants them."""
        return int(termios.tcgetattr(self._file)[3]) & (termios.ECHO | termios.ICANON)

    def press(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def until(self, pattern: str, seconds: float = 60) -> str:
        """Read until the pattern stands in what was written."""
        until_s = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            left_s = until_s - time.monotonic()
            assert left_s > 0, f"never wrote {pattern}: {self.text[-2000:]}"
            if select.select([self._file], [], [], left_s)[0]:
                self.text += os.read(self._file, 65536).decode(errors="replace")
        return found[0]

    def close(self) -> int:
        """Read to the end; the exit code."""
        try:
            while data := os.read(self._file, 65536):
                self.text += data.decode(errors="replace")
        except OSError:  # a closed terminal says EIO
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._file)
        return code


def test_one_key_predicts_and_the_end_answers(tmp_path: Path) -> None:
    terminal = Terminal("run", str(QUICK), "--engine", "local", "--runs", str(tmp_path))
    usual = terminal.flags
    terminal.until(r"watch it: http://127\.0\.0\.1:\d+")
    terminal.until("what will break")
    terminal.press("1")
    terminal.until("1 one: breaks")
    assert terminal.flags == 0, "keys are read one by one and without echo"
    terminal.press("22")
    terminal.until("2 other: holds")
    assert usual
    terminal.until("prediction  other", 90)
    assert terminal.close() == 0
    assert "prediction  one: you said it breaks: it held ✗" in terminal.text
    assert "prediction  other: you said it holds: it held ✓" in terminal.text
    (messages,) = tmp_path.glob("quick/2*/messages.jsonl")
    said = [json.loads(line) for line in messages.read_text().splitlines()]
    guesses = [(m["design"], m["guess"]) for m in said if m["is"] == "Guessed"]
    assert guesses == [("one", "breaks"), ("other", "breaks"), ("other", "holds")]


def test_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    terminal = Terminal("run", str(QUICK), "--engine", "local", "--runs", str(tmp_path))
    usual = terminal.flags
    terminal.until("what will break")
    assert terminal.flags == 0
    terminal.until("baseline")
    terminal.press("\x03")
    terminal.until("interrupted: healing")
    terminal.until("Interrupted|interrupted: stopped", 60)
    flags = terminal.flags
    assert terminal.close() == 130
    assert flags == usual
