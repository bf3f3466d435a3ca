"""Instances that end although nothing of the lab ended them: the daemon's events, as they come."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from docker.errors import DockerException

from lab.engines.docker.daemon import Daemon
from lab.engines.docker.owner import INSTANCE, PART, RUN

Ended = Callable[[str, str], None]
"""Told in the event loop: the unique name of an instance, and the event (`die`, `start`)."""


class Deaths:
    """Watches the instances of one run.

    `expected` holds the names of those that the lab itself ends, or that end when their work is
    done. `excused` holds those that a fault lets end by themselves: their links follow, and it is
    no news.
    """

    def __init__(self, events: Any, expected: set[str], changed: Ended) -> None:
        self.expected = expected
        self.excused: set[str] = set()
        self.fallen: set[str] = set()
        """Those that ended so, and were not started since."""
        self._events = events
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._out_of_memory: set[str] = set()
        self._thread = threading.Thread(target=self._watch, name="docker events", daemon=True)
        self._thread.start()

    @classmethod
    async def watch(cls, daemon: Daemon, run_id: str, expected: set[str], changed: Ended) -> Deaths:
        """Begin; what happens after this returned is not missed."""
        filters = {"label": [f"{RUN}={run_id}", f"{PART}=instance"], "type": "container"}
        events = await daemon.call(daemon.api.events, decode=True, filters=filters)
        return cls(events, expected, changed)

    async def seen(self) -> AsyncIterator[tuple[str, str]]:
        """Deaths as they happen: the instance's unique name, and why."""
        while True:
            yield await self._seen.get()

    def note(self, name: str, why: str) -> None:
        """Something else that ended: not an instance, and not by an event of the daemon."""
        self._seen.put_nowait((name, why))

    def close(self) -> None:
        """Watch no longer."""
        with contextlib.suppress(DockerException, OSError, ValueError, AttributeError):
            self._events.close()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        with contextlib.suppress(Exception):  # closed by us, or the daemon has gone: calls tell
            for event in self._events:
                if event.get("Action") in ("die", "oom", "start"):
                    self._loop.call_soon_threadsafe(self._note, event)

    def _note(self, event: dict[str, Any]) -> None:
        attributes = event["Actor"]["Attributes"]
        name, action = attributes[INSTANCE], event["Action"]
        if action == "oom":
            self._out_of_memory.add(name)
            return
        if action == "start":
            self.fallen.discard(name)
        if name in self.expected:
            return
        self._changed(name, action)
        if action == "die":
            why = f"exit code {attributes.get('exitCode', '?')}"
            if name in self._out_of_memory:
                why += ", out of memory"
            self._out_of_memory.discard(name)
            if name in self.excused:
                self.fallen.add(name)
            else:
                self._seen.put_nowait((name, why))
