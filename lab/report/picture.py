"""The main chart of a run as a picture: latency and outcomes of every design, faults as bands.

    chart.svg   for documents; follows the reader's light or dark theme
    chart.png   for chats and slides; drawn from the same SVG, without a browser (resvg)

Lengths are pixels of the drawing. Both axes of latency are the same in every design, so that two
panels can be compared by eye.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import resvg_py

from lab.page.charts import Numbers, data
from lab.record import Record
from lab.units import format_duration
from lab.words import STATUS_GLYPH, design_state

Values = Sequence[float | None]

_FONT = Path(__file__).with_name("font") / "DejaVuSans-subset.ttf"
_ZOOM = 2.0

_WIDTH = 1200.0
_COLUMNS = 3
_LEFT, _GAP, _TOP = 64.0, 28.0, 74.0
_HEAD, _LATENCY_H, _BETWEEN, _OUTCOMES_H, _FOOT = 26.0, 190.0, 22.0, 80.0, 44.0
_QUESTION_W, _CHARACTER = 960.0, 0.62
"""Room for the question, and a mean character's width as a part of the font's size."""

_PANEL_H = _HEAD + _LATENCY_H + _BETWEEN + _OUTCOMES_H + _FOOT

_STYLE = """
svg{font-family:"DejaVu Sans",system-ui,sans-serif;font-size:12px}
.page{fill:#fff}.ink{fill:#1b1f24}.soft{fill:#57606a}.grid{stroke:#d8dee4;stroke-width:1}
.p50{fill:none;stroke:#56b4e9;stroke-width:1.5}.p99{fill:none;stroke:#0072b2;stroke-width:2.5}
.ok{fill:#0072b2}.fail{fill:#d55e00}.info{fill:#e69f00}
.band{fill:#e69f00;fill-opacity:.16}.edge{stroke:#b35900;stroke-width:1;stroke-dasharray:3 3}
.bound{stroke:#1b1f24;stroke-width:1.2;stroke-dasharray:6 4}.q{font-size:17px;font-weight:600}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}.soft{fill:#9da7b1}
.grid{stroke:#30363d}.bound{stroke:#e6edf3}.edge{stroke:#e69f00}.p99{stroke:#3d9bdb}}
"""


@dataclass(frozen=True, slots=True)
class _Axes:
    """From run seconds and values to a panel's pixels; `x`, `y` are its top left corner."""

    x: float
    y: float
    width: float
    duration_s: float
    low_s: float
    high_s: float
    most: float

    def across(self, t_s: float) -> float:
        return self.x + self.width * min(max(t_s / self.duration_s, 0.0), 1.0)

    def latency(self, seconds: float) -> float:
        """Logarithmic, between two powers of ten."""
        share = math.log10(max(seconds, self.low_s) / self.low_s)
        return self.y + _HEAD + _LATENCY_H * (1 - share / math.log10(self.high_s / self.low_s))

    def count(self, number: float) -> float:
        """From the bottom of the lower chart."""
        bottom = self.y + _HEAD + _LATENCY_H + _BETWEEN + _OUTCOMES_H
        return bottom - _OUTCOMES_H * number / self.most


def chart_svg(record: Record) -> str:
    """The picture as SVG."""
    drawn = data(Numbers.of(record))
    designs: Mapping[str, Any] = drawn["designs"]
    columns = min(len(designs), _COLUMNS)
    rows = math.ceil(len(designs) / columns)
    height = _TOP + rows * _PANEL_H
    width = (_WIDTH - _LEFT - _GAP * columns) / columns
    low_s, high_s = _decades(designs.values())
    most = max((max(_stacked(d), default=0.0) for d in designs.values()), default=0.0) or 1.0
    parts = [*_heading(record)]
    for number, (name, lines) in enumerate(designs.items()):
        row, column = divmod(number, columns)
        axes = _Axes(
            _LEFT + column * (width + _GAP),
            _TOP + row * _PANEL_H,
            width, drawn["duration"], low_s, high_s, most,
        )  # fmt: skip
        parts += _panel(
            axes, f"{name}: {design_state(record, name)}", lines, drawn, first=column == 0
        )
    label = escape(f"{record.experiment.question} Latency and outcomes by design.")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" '
        f'width="{_WIDTH:.0f}" height="{height:.0f}" role="img" aria-label="{label}">'
        f"<title>{label}</title><style>{_STYLE}</style>"
        f'<rect class="page" width="{_WIDTH:.0f}" height="{height:.0f}"/>{"".join(parts)}</svg>\n'
    )


def chart_png(svg: str) -> bytes:
    """The same at twice the size, light, with a font of our own: bare machines have none."""
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=_ZOOM,
            skip_system_fonts=True,
            font_files=[str(_FONT)],
            font_family="DejaVu Sans",
        )
    )


def _heading(record: Record) -> Iterator[str]:
    status = record.verdict.status
    question = record.experiment.question
    size = min(17.0, _QUESTION_W / (_CHARACTER * max(len(question), 1)))
    yield _text(_LEFT, 28, question, "ink q", style=f' style="font-size:{size:.1f}px"')
    yield _text(_WIDTH - _GAP, 28, f"{STATUS_GLYPH[status]} {status}", "ink", "end")
    x = _LEFT
    for css, words in (
        ("p99", "p99"), ("p50", "p50 (log scale)"), ("bound", "predicted bound"),
        ("ok", "ok"), ("fail", "failed"), ("info", "unknown"), ("band", "fault in effect"),
    ):  # fmt: skip
        if css in ("p99", "p50", "bound"):
            yield _rule(css, x, 50, x + 22, 50)
        else:
            yield _rect(css, x, 44, 22, 12)
        yield _text(x + 28, 54, words, "soft")
        x += 28 + 7.4 * len(words) + 20


def _panel(
    axes: _Axes,
    title: str,
    lines: Mapping[str, Any],
    drawn: Mapping[str, Any],
    *,
    first: bool,
) -> Iterator[str]:
    right, foot = axes.x + axes.width, axes.count(0)
    yield _text(axes.x, axes.y + 16, title, "ink")
    for fault in drawn["faults"]:
        left, end = axes.across(fault["from"]), axes.across(fault["to"])
        yield _rect("band", left, axes.y + _HEAD, end - left, foot - axes.y - _HEAD)
        for x in (left, end):
            yield _rule("edge", x, axes.y + _HEAD, x, foot)
    for second in _ticks(axes):
        y = axes.latency(second)
        yield _rule("grid", axes.x, y, right, y)
        if first:
            yield _text(axes.x - 8, y + 4, format_duration(second), "soft", "end")
    for bound in _latency_bounds(lines):
        y = axes.latency(bound["value"])
        yield _rule("bound", axes.across(bound["from"]), y, axes.across(bound["to"]), y)
    for css in ("p50", "p99"):
        yield _line(css, axes, lines[css])
    yield from _bars(axes, lines)
    if first:
        yield _text(axes.x - 8, axes.count(axes.most) + 10, f"{axes.most:g}/s", "soft", "end")
        yield _text(axes.x - 8, foot, "0", "soft", "end")
    yield _rule("grid", axes.x, foot, right, foot)
    for phase in drawn["phases"]:
        left, room = (
            axes.across(phase["from"]),
            axes.across(phase["to"]) - axes.across(phase["from"]),
        )
        words = (
            f"{phase['from']:g} s {phase['name']}",
            f"{phase['from']:g} s",
            f"{phase['from']:g}",
        )
        fitting = [text for text in words if 12 * _CHARACTER * len(text) < room]
        if fitting:
            yield _text(left, foot + 16, fitting[0], "soft")


def _bars(axes: _Axes, lines: Mapping[str, Any]) -> Iterator[str]:
    """Outcomes of each second, stacked: what was answered well stands at the bottom."""
    wide = axes.width / axes.duration_s
    for second, counts in enumerate(zip(lines["ok"], lines["info"], lines["fail"], strict=True)):
        base = 0.0
        for css, count in zip(("ok", "info", "fail"), counts, strict=True):
            if count and second < axes.duration_s:
                top, bottom = axes.count(base + count), axes.count(base)
                yield _rect(css, axes.across(second), top, wide * 0.86, bottom - top)
                base += count


def _line(css: str, axes: _Axes, values: Values) -> str:
    """A path with a gap where a second has no value; each stands in the middle of its second."""
    path, pen = [], "M"
    for second, value in enumerate(values):
        if value is None or second >= axes.duration_s:
            pen = "M"
            continue
        path.append(f"{pen}{axes.across(second + 0.5):.1f} {axes.latency(value):.1f}")
        pen = "L"
    return f'<path class="{css}" d="{" ".join(path)}"/>'


def _decades(designs: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """The powers of ten around all latencies and bounds; one decade at least."""
    values = [
        value
        for design in designs
        for value in (
            *design["p50"],
            *design["p99"],
            *(b["value"] for b in _latency_bounds(design)),
        )
        if value
    ]
    low = math.floor(math.log10(min(values, default=0.001)))
    high = math.ceil(math.log10(max(values, default=0.01)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _latency_bounds(design: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The bounds that belong to the upper chart."""
    return [bound for bound in design["bounds"] if bound["chart"] == "latency"]


def _ticks(axes: _Axes) -> Iterator[float]:
    low, high = round(math.log10(axes.low_s)), round(math.log10(axes.high_s))
    yield from (10.0**power for power in range(low, high + 1))


def _stacked(design: Mapping[str, Any]) -> Iterator[float]:
    for counts in zip(design["ok"], design["fail"], design["info"], strict=True):
        yield sum(count or 0.0 for count in counts)


def _text(x: float, y: float, words: str, css: str, anchor: str = "start", style: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}{style}>{escape(words)}</text>'


def _rule(css: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(css: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )
