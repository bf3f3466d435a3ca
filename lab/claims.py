"""The language of claims: one falsifiable line such as `p99 < 300ms during fault`.

    claim    := measure OP bound [window]  |  "recovered within" DURATION ["of" phase]
    measure  := NAME ["(" argument ")"] ["of" request]
    OP       := < <= > >= ==
    bound    := quantity                                 p99 < 300ms · errors < 1% · goodput > 90/s
              | FACTOR "x" (phase | design)              p99 < 3x baseline · p99 > 20x closed-loop
              | NUMBER "points over" design              ok >= 20 points over connection-per-request
    window   := "during" phase | "from" moment "to" moment          (default: the whole run)
    moment   := DURATION | phase [".end"] ["+" DURATION | "-" DURATION]

Where a phase stands, the name of a fault may stand too.

Measures of the clients' history (docs/reference/claims.md says exactly how each is computed):
p50 p90 p95 p99 p99.9 max mean (latency) · errors ok (shares) · within(DURATION) (share answered ok
in time) · goodput throughput offered (per second) · attempts (per operation) · in_flight (most at
once) · bad_seconds(DURATION) (seconds with an operation failed or later than that) · recovery
(seconds after the end of a phase, by default `fault`, until it is as before; also written
`recovery of PHASE`).
Measures of scraped metrics, summed over a design's instances: peak(metric) least(metric)
average(metric) last(metric) increase(metric); a selector may follow the name: `{route="/x"}`.
Measures of what a design costs, over the whole run: cpu (CPU-seconds per 1,000 operations), memory
(peak bytes of its containers), containers.
Findings of truth, over the whole run (docs/reference/checkers.md says what each is): `lost writes`,
`stale reads` (a duration), `G-single` and the others of `TRUTHS` and `ANOMALIES`, counted; and
`linearizable`, which is short for `not linearizable == 0`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lab.units import parse_duration, parse_rate, parse_share, parse_size

Unit = Literal["s", "share", "/s", "B", "count"]
Operator = Literal["<", "<=", ">", ">=", "=="]

LATENCY = ("p50", "p90", "p95", "p99", "p99.9", "max", "mean")
SHARES = ("errors", "ok", "within")
RATES = ("goodput", "throughput", "offered")
COUNTS = ("attempts", "in_flight", "bad_seconds")
METRICS = ("peak", "least", "average", "last", "increase")
COSTS = ("cpu", "memory", "containers")
TRUTHS = (
    *("lost writes", "phantom writes", "duplicates", "out of order", "stale reads"),
    *("lost updates", "non-monotonic reads", "own writes missed", "bank", "repeated ids"),
    "not linearizable",
)
ANOMALIES = (
    *("duplicate elements", "garbage reads", "incompatible order", "internal"),
    *("G1a", "G1b", "lost update"),
    *(
        f"{cycle}{needs}"
        for cycle in ("G0", "G1c", "G-single", "G2-item")
        for needs in ("", "-process", "-realtime")
    ),
)
WHOLE_RUN = (*COSTS, *TRUTHS, *ANOMALIES)
MEASURES = (*LATENCY, *SHARES, *RATES, *COUNTS, "recovery", *METRICS, *WHOLE_RUN)
_NEEDS_DURATION = ("within", "bad_seconds")
_PARSE: dict[Unit, Callable[[object], float]] = {
    "s": parse_duration,
    "share": parse_share,
    "/s": parse_rate,
    "B": parse_size,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that a run yields. `argument` is a duration's text or a metric with its selector."""

    name: str
    argument: str | None = None
    request: str | None = None

    @property
    def unit(self) -> Unit:
        """The unit its value comes in."""
        if self.name in LATENCY or self.name in ("recovery", "stale reads"):
            return "s"
        if self.name in SHARES:
            return "share"
        if self.name in RATES:
            return "/s"
        return "B" if self.name == "memory" else "count"

    @property
    def metric(self) -> str | None:
        """The scraped metric it reads, without its selector; None for the others."""
        return self.argument.split("{")[0] if self.name in METRICS and self.argument else None

    @property
    def selector(self) -> tuple[tuple[str, str], ...]:
        """The labels that the metric's series must have: `(("route", "/x"),)`."""
        return parse_metric(self.argument)[1] if self.name in METRICS and self.argument else ()

    @property
    def duration_s(self) -> float:
        """The argument of `within` and `bad_seconds`."""
        return parse_duration(self.argument)

    def __str__(self) -> str:
        text = self.name + (f"({self.argument})" if self.argument else "")
        return text + (f" of {self.request}" if self.request else "")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of the timeline: an edge of a phase (or the start, for None) plus an offset."""

    phase: str | None
    edge: Literal["start", "end"]
    offset_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """Where a claim looks. Either `phase`, or `start` and `end`, or nothing: the whole run.

    For `recovery` the phase is the one whose end it counts from.
    """

    phase: str | None = None
    start: Moment | None = None
    end: Moment | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """The right-hand side, in the measure's unit.

    With `factor` or `points` set it is taken from `reference`: a phase of this design, or another
    design.
    """

    value: float = 0.0
    factor: float | None = None
    points: float | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One falsifiable line, parsed; `text` is as written."""

    text: str
    measure: Measure
    operator: Operator
    bound: Bound
    window: Window

    def __str__(self) -> str:
        return self.text


_DURATION = r"(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+"
_NUMBER = r"\d+(?:\.\d+)?"
_FOUND = "|".join(sorted(map(re.escape, (*TRUTHS, *ANOMALIES)), key=len, reverse=True))
_MEASURE = (
    rf"(?P<measure>{_FOUND}|[a-z_0-9.]+)\s*"
    r"(?:\((?P<argument>(?:[^()\"]|\"[^\"]*\")*)\))?"
    r"(?:\s+of\s+(?P<request>[\w.-]+))?"
)
_WINDOW = r"(?:\s+(?:during\s+(?P<phase>[\w.-]+)|from\s+(?P<start>\S+)\s+to\s+(?P<end>\S+)))?\s*"
_MEASURED = re.compile(_MEASURE + _WINDOW)
_CLAIM = re.compile(_MEASURE + r"\s*(?P<operator><=|>=|==|<|>)\s*(?P<bound>.+?)" + _WINDOW)
_RECOVERED = re.compile(r"recovered\s+within\s+(?P<bound>\S+)(?:\s+of\s+(?P<phase>[\w.-]+))?\s*")
_FACTOR = re.compile(rf"({_NUMBER})\s*x\s+([\w.+-]+)")
_POINTS = re.compile(rf"(-?{_NUMBER})\s+points\s+over\s+([\w.+-]+)")
_MOMENT = re.compile(rf"([A-Za-z][\w-]*?)(\.end)?(?:([+-])({_DURATION}))?|({_DURATION})")
_METRIC = re.compile(r"([A-Za-z_:][\w:]*)\s*(?:\{(.*)\})?")
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"([^"]*)"\s*(?:,|$)')


def parse_claim(text: str) -> Claim:
    """Read one claim.

    Raises:
        ValueError: it is not of the language; the message says what is wrong and shows a right one.
    """
    text = " ".join(text.split())
    if match := _RECOVERED.fullmatch(text):
        bound = Bound(parse_duration(match["bound"]))
        return Claim(text, Measure("recovery"), "<=", bound, Window(match["phase"] or "fault"))
    if text == "linearizable":
        return Claim(text, Measure("not linearizable"), "==", Bound(), Window())
    match = _CLAIM.fullmatch(text)
    if not match:
        raise ValueError(
            f"`{text}` is not a claim: write `measure < bound during phase`, "
            "like p99 < 1s during fault"
        )
    measure, window = _measured(match)
    operator: Operator = match["operator"]  # type: ignore[assignment]
    return Claim(text, measure, operator, _bound(match["bound"], measure), window)


def parse_measure(text: str) -> tuple[Measure, Window]:
    """Read `p50 of follow during fault`, as sentences with measured numbers use it.

    Raises:
        ValueError: it is not a measure with an optional window.
    """
    match = _MEASURED.fullmatch(" ".join(text.split()))
    if not match:
        raise ValueError(
            f"`{text}` is not a measure: write `measure during phase`, like p50 during fault"
        )
    return _measured(match)


def _measured(match: re.Match[str]) -> tuple[Measure, Window]:
    """What is measured and where, from a match of `_MEASURE` and `_WINDOW`."""
    measure = _measure(match["measure"], match["argument"], match["request"])
    window = Window(match["phase"])
    if match["start"]:
        window = Window(None, _moment(match["start"]), _moment(match["end"]))
    if measure.name == "recovery":
        return _recovery(measure, window)
    if measure.request and measure.name in (*METRICS, *WHOLE_RUN):
        raise ValueError(f"`{measure.name}` cannot be told apart by request; leave `of` out")
    if measure.name in WHOLE_RUN and window != Window():
        raise ValueError(f"`{measure.name}` is known for the whole run only; leave the window out")
    return measure, window


def _recovery(measure: Measure, window: Window) -> tuple[Measure, Window]:
    """`recovery`, `recovery of fault` and `recovery during fault` all count from a phase's end."""
    if window.start:
        raise ValueError("`recovery` counts from the end of a phase: write `recovery of fault`")
    if window.phase:
        return measure, window
    return Measure("recovery"), Window(measure.request or "fault")


def _measure(name: str, argument: str | None, request: str | None) -> Measure:
    if name not in MEASURES:
        raise ValueError(f"`{name}` is not a measure; there are: {', '.join(MEASURES)}")
    takes_argument = name in METRICS or name in _NEEDS_DURATION
    if takes_argument != bool(argument):
        example = f"{name}(1s)" if name in _NEEDS_DURATION else f"{name}(app_pool_waiting)"
        raise ValueError(
            f"`{name}` needs an argument, like {example}"
            if takes_argument
            else f"`{name}` takes no argument"
        )
    if name in _NEEDS_DURATION:
        parse_duration(argument)
    elif argument:
        parse_metric(argument)
    return Measure(name, argument.strip() if argument else None, request)


def compare(value: float, operator: Operator, limit: float) -> bool:
    """Whether the comparison is true; values that differ by rounding only are equal.

    `ok >= 99.9%` must be true of 999 of 1,000, although 99.9 / 100 > 999 / 1000 in floating point.
    """
    same = math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12)
    match operator:
        case "<":
            return value < limit and not same
        case "<=":
            return value < limit or same
        case ">":
            return value > limit and not same
        case ">=":
            return value > limit or same
        case "==":
            return same


def parse_metric(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name and labels of `app_requests_total{route="/x",code="200"}`.

    Raises:
        ValueError: it is not a metric's name with an optional selector.
    """
    match = _METRIC.fullmatch(text.strip())
    labels = match[2] or "" if match else ""
    pairs = _LABEL.findall(labels)
    if not match or _LABEL.sub("", labels).strip():
        raise ValueError(
            f"`{text}` is not a metric: write its name, and labels in braces, "
            'like app_requests_total{route="/x"}'
        )
    return match[1], tuple(pairs)


def _bound(text: str, measure: Measure) -> Bound:
    if match := _FACTOR.fullmatch(text):
        if float(match[1]) == 0:
            raise ValueError(f"`{text}` is always zero; write a factor above 0")
        return Bound(factor=float(match[1]), reference=match[2])
    if match := _POINTS.fullmatch(text):
        if measure.unit != "share":
            raise ValueError(f"`points over` compares shares; `{measure}` is not one")
        return Bound(points=float(match[1]) / 100, reference=match[2])
    if measure.unit == "count":
        # Not float() alone: it would take `nan`, and every comparison with that is false.
        if not re.fullmatch(rf"-?{_NUMBER}", text):
            raise ValueError(f"`{text}` is not a number, and `{measure}` is compared with one")
        return Bound(float(text))
    return Bound(_PARSE[measure.unit](text))


def _moment(text: str) -> Moment:
    match = _MOMENT.fullmatch(text)
    if not match:
        raise ValueError(f"`{text}` is not a moment: write 15s, fault+5s or fault.end+5s")
    if match[5]:
        return Moment(None, "start", parse_duration(match[5]))
    offset_s = parse_duration(match[4]) if match[4] else 0.0
    edge: Literal["start", "end"] = "end" if match[2] else "start"
    return Moment(match[1], edge, -offset_s if match[3] == "-" else offset_s)
