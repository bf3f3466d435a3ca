"""A counterexample as a picture: time lines of the operations that contradict each other, as SVG.

One lane a process, time from left to right in order, not to scale. What cannot be right has a
cross and a thick frame, what never returned an open end: nothing is told by colour alone. The
drawing is as wide as a telephone; lengths are its own pixels.

It brings its own style, which takes a page's colours where the page has them and follows the
reader's theme where not. A page whose policy refuses styles inside takes `STYLE` into its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lab.checkers.finding import Arrow, Counterexample
from lab.checkers.lanes import Bar, Lanes
from lab.units import format_duration

_WIDTH, _PAD = 374.0, 10.0
_HEAD, _ROW_H, _BAR_H, _BEND, _FOOT = 19.0, 44.0, 10.0, 12.0, 20.0
_ABOVE = 22.0
"""From the middle of a bar to above its label, where arrows end that come from above."""

_CHARACTER = 6.9
"""Width of a label's character, on the large side, to place labels without measuring."""
_LONGEST = int((_WIDTH - 2 * _PAD) / _CHARACTER)

_LIGHT = {"card": "#fff", "ink": "#14181c", "muted": "#56616c", "line": "#d3dae1"} | {
    "ok": "#0072b2", "fail": "#d55e00", "bad": "#a83900", "edge": "#9a6a00",
}  # fmt: skip
_DARK = {"card": "#11161d", "ink": "#e6edf3", "muted": "#9ba7b3", "line": "#2b343f"} | {
    "ok": "#3d95cc", "fail": "#ff8a4c", "bad": "#ff9a63", "edge": "#e6b35a",
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return ";".join(f"--l-{name}:var(--{name},{colour})" for name, colour in colours.items())


STYLE = f"""
.lanes{{{_variables(_LIGHT)};display:block;width:100%;max-width:560px;height:auto;
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",Arial,sans-serif}}
@media (prefers-color-scheme:dark){{.lanes{{{_variables(_DARK)}}}}}
.lanes .ground{{fill:var(--l-card)}}.lanes .line{{stroke:var(--l-line)}}
.lanes text{{fill:var(--l-ink);paint-order:stroke;stroke:var(--l-card);stroke-width:3px}}
.lanes .who{{fill:var(--l-muted);font-size:11px}}
.lanes .op{{fill:var(--l-ok)}}.lanes .op.open{{fill-opacity:.45}}
.lanes .op.wrong{{fill:var(--l-card);stroke:var(--l-fail);stroke-width:3}}
.lanes .cross{{fill:none;stroke:var(--l-fail);stroke-width:2.5;stroke-linecap:round}}
.lanes .label.wrong{{fill:var(--l-bad);font-weight:600}}
.lanes .arrow{{fill:none;stroke:var(--l-edge);stroke-width:1.6}}.lanes .tip{{fill:var(--l-edge)}}
.lanes .why{{fill:var(--l-edge);font-size:11px;font-weight:600}}
"""


def lanes_svg(example: Counterexample, *, style: bool = True) -> str:
    """The drawing; `style` puts its style inside. Without operations there is nothing to draw."""
    if not example.ops:
        return ""
    lanes = Lanes.of(example)
    grid = _Grid.of(lanes, example.arrows)
    label = escape(example.text)
    parts = [*_ground(lanes, grid), *(_bar(bar, grid) for bar in lanes.bars)]
    parts += [_arrow(arrow, lanes.bars, grid) for arrow in example.arrows]
    parts += [_label(bar, grid) for bar in lanes.bars]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="lanes" role="img" aria-label="{label}" '
        f'viewBox="0 0 {_WIDTH:.0f} {grid.height:.0f}"><title>{label}</title>'
        f"{f'<style>{STYLE}</style>' if style else ''}{''.join(parts)}</svg>"
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where things are: the row of each bar in its lane, and the top of each lane."""

    rows: tuple[int, ...]
    tops: tuple[float, ...]
    height: float
    step: float

    @classmethod
    def of(cls, lanes: Lanes, arrows: Sequence[Arrow]) -> _Grid:
        step = (_WIDTH - 2 * _PAD - 14) / max(1, len(lanes.moments_s) - 1)
        rows = _rows(lanes, step)
        tops, y = [], 4.0
        for lane in range(len(lanes.processes)):
            tops.append(y)
            used = [row for row, bar in zip(rows, lanes.bars, strict=True) if bar.lane == lane]
            y += _HEAD + _ROW_H * (max(used, default=0) + 1)
        if _has_bend(lanes, rows, arrows):
            y += _BEND
        return cls(tuple(rows), tuple(tops), y + _FOOT, step)

    def x(self, moment: int | None) -> float:
        """A moment's place; of what never returned the right edge."""
        return _WIDTH if moment is None else _PAD + self.step * moment

    def y(self, bar: Bar) -> float:
        """The middle of a bar."""
        return self.tops[bar.lane] + _HEAD + _ROW_H * self.rows[bar.place] + 24


def _has_bend(lanes: Lanes, rows: Sequence[int], arrows: Sequence[Arrow]) -> bool:
    """Whether an arrow bends below the last row, as both its ends are in it."""
    last = len(lanes.processes) - 1
    places = [(bar.lane, row) for row, bar in zip(rows, lanes.bars, strict=True)]
    lowest = (last, max(row for lane, row in places if lane == last))
    return any(places[arrow.start] == places[arrow.end] == lowest for arrow in arrows)


def _rows(lanes: Lanes, step: float) -> list[int]:
    """A row further down wherever two labels of a lane would run into each other."""
    rows = [0] * len(lanes.bars)
    taken: dict[tuple[int, int], float] = {}
    for bar in sorted(lanes.bars, key=lambda bar: bar.first):
        left, right = _span(bar, step)
        row = 0
        while taken.get((bar.lane, row), -1.0) > left:
            row += 1
        rows[bar.place] = row
        end = _WIDTH if bar.last is None else _PAD + step * bar.last
        taken[bar.lane, row] = max(right, end) + 8
    return rows


def _span(bar: Bar, step: float) -> tuple[float, float]:
    """From where to where its label goes: it begins with its bar, or ends at the right edge."""
    width = _CHARACTER * len(_short(bar))
    left = max(_PAD, min(_PAD + step * bar.first, _WIDTH - _PAD - width))
    return left, left + width


def _short(bar: Bar) -> str:
    """The label as far as there is room."""
    return bar.label if len(bar.label) <= _LONGEST else bar.label[: _LONGEST - 1] + "…"


def _ground(lanes: Lanes, grid: _Grid) -> Iterator[str]:
    yield f'<rect class="ground" width="{_WIDTH:.0f}" height="{grid.height:.0f}"/>'
    for process, top in zip(lanes.processes, grid.tops, strict=True):
        yield f'<path class="line" d="M0 {top:.1f} H{_WIDTH:.0f}"/>'
        yield f'<text class="who" x="{_PAD}" y="{top + 14:.1f}">process {process}</text>'
    bottom = grid.height - _FOOT
    first_s, last_s = lanes.moments_s[0], lanes.moments_s[-1]
    yield f'<path class="line" d="M0 {bottom:.1f} H{_WIDTH:.0f}"/>'
    took = format_duration(last_s - first_s)
    words = f"{took} from {first_s:.3f} s on; in order, not to scale"
    yield f'<text class="who" x="{_PAD}" y="{bottom + 14:.1f}">{words}</text>'


def _bar(bar: Bar, grid: _Grid) -> str:
    left, right, y = grid.x(bar.first), grid.x(bar.last), grid.y(bar)
    kind = "op wrong" if bar.wrong else "op open" if bar.last is None else "op"
    width = max(right - left, 6.0)
    top = y - _BAR_H / 2
    drawn = (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{_BAR_H:.0f}" rx="{0 if bar.last is None else 3}"/>'
    )
    if bar.wrong:
        x = min(left + width + 8, _WIDTH - 9)
        drawn += f'<path class="cross" d="M{x:.1f} {y - 4:.1f} l8 8 m0 -8 l-8 8"/>'
    return drawn


def _label(bar: Bar, grid: _Grid) -> str:
    left, _ = _span(bar, grid.step)
    kind = "label wrong" if bar.wrong else "label"
    place = f'x="{left:.1f}" y="{grid.y(bar) - 10:.1f}"'
    return f'<text class="{kind}" {place}>{escape(_short(bar))}</text>'


def _arrow(arrow: Arrow, bars: Sequence[Bar], grid: _Grid) -> str:
    """From bar to bar; beside the one that goes back, and round the label of one in its own row."""
    one, other = bars[arrow.start], bars[arrow.end]
    ay, by = grid.y(one), grid.y(other)
    side = 1 if (ay, one.first) <= (by, other.first) else -1
    ax, bx = (_middle(bar, grid) + 9 * side for bar in (one, other))
    down = by > ay
    if ay == by:
        start, end, bend = ay + _BAR_H / 2, by + _BAR_H / 2 + 6, ay + 24
        curve = f"C{ax:.1f} {bend:.1f} {bx:.1f} {bend:.1f} {bx:.1f} {end:.1f}"
        tip, middle_y = f"M{bx:.1f} {end - 6:.1f} l-4 7 h8 Z", bend - 2
    else:
        start = ay + _BAR_H / 2 if down else ay - _ABOVE
        point = by - _ABOVE if down else by + _BAR_H / 2
        end = point - 6 if down else point + 6
        middle_y = (start + end) / 2
        curve = f"C{ax:.1f} {middle_y:.1f} {bx:.1f} {middle_y:.1f} {bx:.1f} {end:.1f}"
        tip = f"M{bx:.1f} {point:.1f} l-4 {-7 if down else 7} h8 Z"
    anchor = "start" if side > 0 else "end"
    x = (ax + bx) / 2 + 5 * side
    return (
        f'<path class="arrow" d="M{ax:.1f} {start:.1f} {curve}"/><path class="tip" d="{tip}"/>'
        f'<text class="why" text-anchor="{anchor}" x="{x:.1f}" y="{middle_y + 4:.1f}">'
        f"{escape(arrow.label)}</text>"
    )


def _middle(bar: Bar, grid: _Grid) -> float:
    return (grid.x(bar.first) + grid.x(bar.last)) / 2
