"""Named points in a service's code: it can be made to fail there, and tells when it passes one.

    await failpoint("after_charge")          # in a coroutine
    failpoint_sync("after_charge")           # anywhere else
    event("in_critical_section")             # only tells; nothing can fail here

One file, standard library only: copy it into a service of your own and put `POINTS.asgi` under
`/_lab/` on the port of its metrics (docs/failpoints.md). Until somebody arms or follows a point,
passing it costs a dictionary look-up and a count.

    POST   /_lab/failpoints/NAME?do=die       arm: die, stop, error, delay (&delay_s=0.5) or hold;
                                              &count=1 strikes so often (die and stop: once),
                                              &share=0.2&seed=1 a share of those that pass
    DELETE /_lab/failpoints/NAME              disarm, and let go on what is held
    GET    /_lab/failpoints                   {"life": …, "points": {NAME: {"armed", "reached", …}}}
    GET    /_lab/events?names=A,B&after=7&life=…&wait_s=5
                                              who passed A or B after event 7; waits for the first
    POST   /_lab/fail?share=0.2&seed=1        a share of all requests fails (the point `request`)

`life` is another one after each start of the process, and events count from 1 in each.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import secrets
import signal
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

ACTIONS = ("die", "stop", "error", "delay", "hold")
REQUEST = "request"
"""The point that labkit's services pass with every request; `/_lab/fail` arms it."""

EVENTS_KEPT = 1000
WAIT_MAX_S = 30.0
_NAME = re.compile(r"[A-Za-z]\w*")

Wake = Callable[[], None]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class FailpointError(RuntimeError):
    """Raised at a point that is armed with `error`."""


class Order:
    """What happens at an armed point; `left` strikes are to come, None for no end of them."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Read `do`, `count`, `share`, `seed` and `delay_s`.

        Raises:
            KeyError, ValueError: they do not make sense.
        """
        self.do = settings["do"]
        self.left = int(settings["count"]) if "count" in settings else None
        if self.do in ("die", "stop"):
            self.left = 1  # whoever wakes a stopped process must reach it before the next one
        self.share = float(settings.get("share", "1"))
        self.delay_s = float(settings["delay_s"]) if self.do == "delay" else 0.0
        self._random = random.Random(int(settings.get("seed", "1")))
        if self.do not in ACTIONS:
            raise ValueError(f"do={self.do} is none of {', '.join(ACTIONS)}")
        if not 0 <= self.share <= 1 or (self.left is not None and self.left < 1):
            raise ValueError("share is 0 to 1, and count at least 1")
        if self.do == "stop" and os.getpid() == 1:
            raise ValueError("process 1 of a container cannot stop itself: write `init: true`")

    def strikes(self) -> bool:
        """Whether this pass is struck; the same seed strikes the same passes."""
        if self.left == 0 or (self.share < 1 and self._random.random() >= self.share):
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Point:
    """One named point. `reached` and `struck` count from when it was last armed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.order: Order | None = None
        self.reached = self.struck = self.held = 0
        self.followed = False
        self.holding: set[Wake] = set()

    @property
    def armed(self) -> bool:
        """Whether it can still strike."""
        return self.order is not None and self.order.left != 0

    def to_json(self) -> dict[str, Any]:
        """What `GET` tells of it."""
        do = self.order.do if self.order and self.armed else None
        counts = {"reached": self.reached, "struck": self.struck, "held": self.held}
        return {"armed": self.armed, "do": do, **counts}


class Points:
    """All points of a process, and the events that somebody follows."""

    def __init__(self) -> None:
        self.life = secrets.token_hex(4)
        self._points: dict[str, Point] = {}
        self._events: deque[tuple[int, str, float]] = deque(maxlen=EVENTS_KEPT)
        self._last = 0
        self._lock = threading.Lock()
        self._waiting: set[Wake] = set()

    def event(self, name: str) -> None:
        """Tell whoever follows it that this happened."""
        self._pass(name)

    async def failpoint(self, name: str) -> None:
        """Tell it, and fail here if somebody armed it so.

        Raises:
            FailpointError: it is armed with `error`.
        """
        point = self._pass(name)
        order = point.order and self._strike(point)
        if not order:
            return
        if order.do == "hold":
            gate, loop = asyncio.Event(), asyncio.get_running_loop()
            with _Held(self, point, lambda: loop.call_soon_threadsafe(gate.set)):
                await gate.wait()
        elif order.do == "delay":
            await asyncio.sleep(order.delay_s)
        else:
            _fail(name, order.do)

    def failpoint_sync(self, name: str) -> None:
        """The same outside of coroutines; `hold` and `delay` block this thread."""
        point = self._pass(name)
        order = point.order and self._strike(point)
        if not order:
            return
        if order.do == "hold":
            gate = threading.Event()
            with _Held(self, point, gate.set):
                gate.wait()
        elif order.do == "delay":
            time.sleep(order.delay_s)
        else:
            _fail(name, order.do)

    def arm(self, name: str, settings: Mapping[str, str]) -> Point:
        """From now on the point strikes as it says there; its counts begin anew.

        Raises:
            KeyError, ValueError: the settings or the name make no sense.
        """
        order, point = Order(settings), self.point(name)
        self.disarm(point)
        point.order, point.reached = order, 0
        return point

    def disarm(self, point: Point) -> None:
        """It strikes no more; what is held there goes on."""
        with self._lock:
            point.order, point.struck = None, 0
            waiting = [*point.holding]
        for wake in waiting:
            wake()

    def point(self, name: str) -> Point:
        """The point of that name, made when nobody passed or armed it before.

        Raises:
            ValueError: that is no name.
        """
        found = self._points.get(name)
        if found is None:
            if not _NAME.fullmatch(name):
                raise ValueError(f"`{name}` cannot be the name of a point")
            found = self._points.setdefault(name, Point(name))
        return found

    def events(self, names: Iterable[str], after: int, life: str) -> dict[str, Any]:
        """Events of these names with higher numbers; from now on such are kept.

        `clock_s` and each `at_s` are readings of this process's monotonic clock.
        """
        wanted = {name for name in names if name}
        for name in wanted:
            self.point(name).followed = True
        after = after if life == self.life else 0
        with self._lock:
            found = [event for event in self._events if event[0] > after and event[1] in wanted]
            last = self._last
        return {
            "life": self.life,
            "last": last,
            "clock_s": time.monotonic(),
            "events": [{"n": n, "name": name, "at_s": at_s} for n, name, at_s in found],
            "known": sorted(name for name, point in self._points.items() if point.reached),
        }

    def answer(
        self, method: str, path: str, query: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """The HTTP side without any waiting, for any framework: status and JSON body.

        Args:
            method: GET, POST or DELETE.
            path: what follows `/_lab/`.
            query: the parameters.
        """
        what, _, name = path.strip("/").partition("/")
        try:
            if what == "fail":
                return 200, self._fail_requests(method, query)
            if what == "events":
                names, after = query.get("names", "").split(","), int(query.get("after", "0"))
                float(query.get("wait_s", "0"))  # whoever waits reads it
                return 200, self.events(names, after, query.get("life", ""))
            if what == "failpoints":
                return 200, self._failpoints(method, name, query)
        except (KeyError, ValueError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}
        return 404, {"error": "there are: failpoints, events, fail"}

    async def asgi(self, scope: MutableMapping[str, Any], _: Receive, send: Send) -> None:
        """The HTTP side as an ASGI application, for everything under `/_lab/`."""
        path = scope["path"].partition("/_lab/")[2]
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        status, body = self.answer(scope["method"], path, query)
        if path == "events" and status == 200 and not body["events"]:
            await self._next_event(min(WAIT_MAX_S, float(query.get("wait_s", "0"))), query)
            status, body = self.answer(scope["method"], path, query)
        data = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def _pass(self, name: str) -> Point:
        point = self._points.get(name) or self.point(name)
        point.reached += 1
        if point.followed:
            with self._lock:
                self._last += 1
                self._events.append((self._last, name, time.monotonic()))
                waiting = [*self._waiting]
            for wake in waiting:
                wake()
        return point

    def _strike(self, point: Point) -> Order | None:
        with self._lock:
            order = point.order
            if order is None or not order.strikes():
                return None
            point.struck += 1
            return order

    async def _next_event(self, wait_s: float, query: Mapping[str, str]) -> None:
        """Until one of those that are asked for happens, or that time is over."""
        gate, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(gate.set)

        self._waiting.add(wake)
        try:
            async with asyncio.timeout(wait_s):
                while not self.answer("GET", "events", query)[1]["events"]:
                    gate.clear()
                    await gate.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(wake)

    def _failpoints(self, method: str, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        if not name:
            if method == "DELETE":
                for point in self._points.values():
                    self.disarm(point)
            points = {name: point.to_json() for name, point in self._points.items()}
            return {"life": self.life, "points": points}
        if method == "POST":
            self.arm(name, query)
        elif method == "DELETE":
            self.disarm(self.point(name))
        return {"life": self.life, **self.point(name).to_json()}

    def _fail_requests(self, method: str, query: Mapping[str, str]) -> dict[str, Any]:
        point = self.point(REQUEST)
        if method == "POST":
            self.arm(REQUEST, {**query, "do": "error", "share": query["share"]})
        elif method == "DELETE":
            self.disarm(point)
        return {"share": point.order.share if point.order else 0.0, "failed": point.struck}


class _Held:
    """Somebody is held at a point until `wake` is called."""

    def __init__(self, points: Points, point: Point, wake: Wake) -> None:
        self._lock, self._point, self._wake = points._lock, point, wake  # noqa: SLF001

    def __enter__(self) -> None:
        with self._lock:
            released = self._point.order is None
            self._point.holding.add(self._wake)
            self._point.held += 1
        if released:  # disarmed since it struck
            self._wake()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._point.holding.discard(self._wake)
            self._point.held -= 1


def _fail(name: str, do: str) -> None:
    if do == "error":
        raise FailpointError(f"failpoint {name}")
    if do == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)  # process 1 of a container is spared by its own signals


POINTS = Points()
"""The points of this process."""

event = POINTS.event
failpoint = POINTS.failpoint
failpoint_sync = POINTS.failpoint_sync
