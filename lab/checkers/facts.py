"""What checkers look at: the experiment and its history, indexed once so that asking is cheap.

A run has some 100,000 operations and some 30 claims; each claim then costs a binary search and a
sort of its own window, and windows that several claims share are sorted once.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from lab.checkers.finding import Finding
from lab.checkers.look import look
from lab.checkers.windows import Span, as_it_went
from lab.experiment import Experiment
from lab.history import History, Op
from lab.record import Cost, FaultRecord

Labels = tuple[tuple[str, str], ...]


class Operations:
    """Operations of one design (or of one request of it), in the order they were due."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.all = sorted(ops, key=attrgetter("due_s"))
        self.dues_s = [op.due_s for op in self.all]
        self.dones_s = sorted(op.done_s for op in self.all)
        self.oks_s = sorted(op.done_s for op in self.all if op.outcome == "ok")
        self._latencies: dict[Span, list[float]] = {}

    def due_in(self, span: Span) -> list[Op]:
        """The operations that belong to a window: those that were due in it."""
        first = bisect_left(self.dues_s, span.start_s)
        return self.all[first : bisect_left(self.dues_s, span.end_s)]

    def latencies_in(self, span: Span) -> list[float]:
        """Latencies in seconds of all operations of a window, whatever their outcome, sorted."""
        if span not in self._latencies:
            self._latencies[span] = sorted(op.done_s - op.due_s for op in self.due_in(span))
        return self._latencies[span]

    def most_open_in(self, span: Span) -> int:
        """The most operations that were open at one moment of a window.

        An operation is open from when it was due until it was done, and no longer at that moment.
        """
        due, done = (
            bisect_right(self.dues_s, span.start_s),
            bisect_right(self.dones_s, span.start_s),
        )
        is_open = most = due - done
        while due < len(self.dues_s) and self.dues_s[due] < span.end_s:
            while done < len(self.dones_s) and self.dones_s[done] <= self.dues_s[due]:
                is_open, done = is_open - 1, done + 1
            is_open, due = is_open + 1, due + 1
            most = max(most, is_open)
        return most


class Series(NamedTuple):
    """One scraped time series, in order of time. `design` is "" for what all designs share."""

    design: str
    instance: str
    labels: Labels
    times_s: list[float]
    values: list[float]

    def has(self, selector: Labels) -> bool:
        """Whether it has all these labels; `instance` may be its short name, `app-1`."""
        own = {"instance": self.instance, **dict(self.labels)}
        return all(
            own.get(name) == value
            or (name == "instance" and self.instance.rpartition("/")[2] == value)
            for name, value in selector
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that claims are checked against; `costs` is by design.

    `faults` are those of the run as they went: needed where some have conditions.
    """

    experiment: Experiment
    history: History
    costs: Mapping[str, Cost] = field(default_factory=dict)
    faults: Sequence[FaultRecord] = ()
    _went: dict[str, Experiment] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _operations: dict[tuple[str, str | None], Operations] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _findings: dict[tuple[str, str], Finding] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _series: dict[str, list[Series]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def finding(self, name: str, design: str) -> Finding:
        """What the checker of truth of that name found; each looks once."""
        if (design, name) not in self._findings:
            ops = [op for op in self.history.client_ops if op.design == design]
            self._findings.update({(design, one.name): one for one in look(name, ops)})
        return self._findings[design, name]

    def went(self, design: str) -> Experiment:
        """The experiment with every fault at the time at which it was in this design."""
        if design not in self._went:
            self._went[design] = as_it_went(self.experiment, self.faults, design)
        return self._went[design]

    def operations(self, design: str, request: str | None = None) -> Operations:
        """A design's operations, all or those of one request."""
        if not self._operations:
            self._index_operations()
        if (design, request) not in self._operations:
            ops = self._operations[design, None].all if (design, None) in self._operations else []
            wanted = [op for op in ops if op.request == request]
            self._operations[design, request] = Operations(wanted)
        return self._operations[design, request]

    def series(self, metric: str, design: str, selector: Labels = ()) -> list[Series]:
        """A metric's series of one design and of what all designs share."""
        if not self._series:
            self._index_samples()
        return [
            series
            for series in self._series.get(metric, ())
            if series.design in (design, "") and series.has(selector)
        ]

    def _index_operations(self) -> None:
        by_design: dict[str, list[Op]] = {name: [] for name in self.experiment.designs}
        for op in self.history.ops:
            by_design.setdefault(op.design, []).append(op)
        for design, ops in by_design.items():
            self._operations[design, None] = Operations(ops)

    def _index_samples(self) -> None:
        found: dict[tuple[str, str, str, Labels], list[tuple[float, float]]] = defaultdict(list)
        for sample in self.history.samples:
            if not math.isnan(sample.value):
                key = (sample.name, sample.design, sample.instance, sample.labels)
                found[key].append((sample.at_s, sample.value))
        for (name, design, instance, labels), points in found.items():
            points.sort()
            series = Series(
                design, instance, labels, [p[0] for p in points], [p[1] for p in points]
            )
            self._series.setdefault(name, []).append(series)
