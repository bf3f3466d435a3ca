"""What happened, as one driver saw it: every operation, and the counters drawn from them.

The hot path only appends and adds; `lab.load.exposition` turns the counters into Prometheus
metrics when somebody asks.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any

BATCH = 50
"""Most operations handed over at once: writing them as JSON takes 0.2 ms, which delays nobody."""

LATENCY_BOUNDS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
    *(0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 60.0),
)

OpRow = tuple[int, str, float, float, float, str, int, int, str]
"""request_index, key, due_s, sent_s, done_s, outcome, status, attempts, error."""


class Recorder:
    """Counts and keeps. Times are seconds since the start of the load.

    `due` operations came up, `sent` of them left, `saturated` were refused by the driver itself,
    `in_flight` are not finished; `attempts` counts every try of every operation.
    """

    def __init__(self, names: tuple[str, ...], hand_over: Callable[[list[OpRow]], None]) -> None:
        self.names = names
        self.due = self.sent = self.saturated = self.in_flight = self.attempts = 0
        self.outcomes: Counter[tuple[int, str]] = Counter()
        self.latency_counts = [[0] * (len(LATENCY_BOUNDS_S) + 1) for _ in names]
        self.latency_sums_s = [0.0] * len(names)
        self.worst_lag_s = 0.0
        self._lags_s = array("d")
        self._worst_since_look_s = 0.0
        self._rows: list[OpRow] = []
        self._hand_over = hand_over

    def began(self, lag_s: float) -> None:
        """An operation was sent, that much after it was due."""
        self.due += 1
        self.sent += 1
        self.in_flight += 1
        self._lags_s.append(lag_s)
        self._worst_since_look_s = max(self._worst_since_look_s, lag_s)

    def refused(self, request: int, key: str, due_s: float, now_s: float) -> None:
        """An operation was due and not even tried, because too many are in flight."""
        self.due += 1
        self.saturated += 1
        self._keep((request, key, due_s, now_s, now_s, "fail", 0, 0, "saturated"))

    def finished(self, row: OpRow) -> None:
        """An operation that began has its outcome."""
        self.in_flight -= 1
        if row[8] == "saturated":
            self.saturated += 1
        self._keep(row)

    def flush(self) -> None:
        """Hand over what was kept since the last time."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._hand_over(rows)

    def second_over(self) -> None:
        """`worst_lag_s` is from now on that of the second that ended."""
        self.worst_lag_s, self._worst_since_look_s = self._worst_since_look_s, 0.0

    def lag(self) -> dict[str, float]:
        """How late operations were sent, over the whole run so far."""
        lags = sorted(self._lags_s) or [0.0]
        return {
            "p50_s": lags[len(lags) // 2],
            "p99_s": lags[int(len(lags) * 0.99)],
            "max_s": lags[-1],
        }

    def _keep(self, row: OpRow) -> None:
        request, latency_s = row[0], row[4] - row[2]
        self.outcomes[request, row[5]] += 1
        self.latency_counts[request][bisect_left(LATENCY_BOUNDS_S, latency_s)] += 1
        self.latency_sums_s[request] += latency_s
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self.flush()


def as_json_row(row: OpRow) -> list[Any]:
    """The row with times to the microsecond, as it goes down the pipe."""
    request, key, due_s, sent_s, done_s, *rest = row
    return [request, key, round(due_s, 6), round(sent_s, 6), round(done_s, 6), *rest]
