"""Removes what a run created when the run itself cannot: killed, crashed, or out of memory.

    python -m lab.engines.docker.reaper RUN_ID

The orchestrator starts it before it creates anything and holds its stdin. "done" there means that
all is gone (or meant to stay); the end of stdin without it means that the orchestrator has ended.
It runs in a session of its own and ignores the terminal's signals, so Ctrl-C does not end it.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

import lab

DONE = b"done\n"
_GIVE_UP_S = 60.0
_PAUSE_S = 1.0


class Reaper:
    """The orchestrator's end: starts the process, and tells it when there is nothing to do."""

    def __init__(self, run_id: str, log: Path) -> None:
        self._output: IO[bytes] | None = None
        with contextlib.suppress(OSError):  # a full disk must not stop the cleaning
            log.parent.mkdir(parents=True, exist_ok=True)
            self._output = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, run_id],
            stdin=subprocess.PIPE,
            stdout=self._output or subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(lab.__file__).parent.parent,
        )
        self.pid = self._process.pid

    def dismiss(self) -> None:
        """All is gone, or meant to stay: the reaper ends without doing anything."""
        self._let_go(DONE)
        self._process.wait(timeout=10)

    def release(self) -> None:
        """Something is left: the reaper goes on removing it while this process ends."""
        self._let_go(b"")
        threading.Thread(target=self._process.wait, daemon=True).start()  # or it stays a zombie

    def _let_go(self, word: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened with PIPE
        with contextlib.suppress(OSError):
            self._process.stdin.write(word)
            self._process.stdin.close()
        if self._output:
            self._output.close()


def reap(run_id: str) -> list[str]:
    """Remove everything of a run; what is left after a minute of trying, in words.

    Twice nothing in a row ends it: the daemon may still be creating what was asked for last.
    """
    from lab.engines.docker.clean import clean, leftovers
    from lab.engines.docker.daemon import connect
    from lab.errors import EngineError

    started, empty, troubles = time.monotonic(), 0, ["nothing looked at yet"]
    pause = threading.Event()
    while empty < 2 and time.monotonic() - started < _GIVE_UP_S:
        try:
            client = connect()
            troubles = clean(client, run_id)
            left = leftovers(client, run_id)
            client.close()
            troubles = troubles or [str(leftover) for leftover in left]
        except (EngineError, OSError) as error:
            troubles = [str(error)]  # the daemon is restarting, perhaps: it gets a minute
        except Exception as error:  # noqa: BLE001 - nobody else will clean up
            troubles = [repr(error)]
        empty = 0 if troubles else empty + 1
        pause.wait(_PAUSE_S)
    return troubles


def main() -> int:
    """Wait for the orchestrator's end, then clean up after it unless it has done so itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.stdin.buffer.read().endswith(DONE):
        return 0
    run_id = sys.argv[1]
    print(f"the process of run {run_id} has ended without cleaning up; doing that", flush=True)
    troubles = reap(run_id)
    for trouble in troubles:
        print(f"left: {trouble}; try `lab clean --run {run_id}`", flush=True)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
