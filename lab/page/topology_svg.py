"""One design's topology as inline SVG, the broken link or service marked.

Colours come from classes of page.css, so the drawing follows the theme. Lengths are in the
drawing's own pixels; the page scales it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate, pairwise

from lab.experiment import Design, Experiment, Load
from lab.page.layout import Drawing, draw
from lab.plan import configured, deploy
from lab.record import FaultRecord
from lab.topology import CLIENT, Link
from lab.units import format_rate
from lab.words import fault_at, fault_short

_BOX_H = 38.0
_ROW_H = 58.0
_GAP = 36.0
_MIN_GAP_CARRYING = 74.0
"""Between boxes where links say what they carry: room for `9.94 KiB/s`."""

_ALONG = 0.6
"""How far along a link its words stand: links that fan out are apart there."""

_PAD = 10.0
_CHARACTER = 6.8
"""Mean width of a note's character, to size gaps without measuring."""

_CUTS = ("blackhole", "partition", "refuse")
"""Kinds of faults after which a link carries nothing at all."""

_NOTE_LENGTH = 28

_BOLT = "M5 0 L0 8 H4 L2.5 14 L9 5.2 H5 L6.8 0 Z"
"""A lightning bolt as a path: fonts of bare machines have no such glyph."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What is broken in one design: texts of the faults by link and by service.

    `seen` is what was measured on a broken link, in words; `cut` are links that carry nothing.
    """

    links: Mapping[Link, tuple[str, ...]]
    services: Mapping[str, tuple[str, ...]]
    seen: Mapping[Link, str]
    cut: frozenset[Link]


def topology_svg(
    experiment: Experiment,
    faults: Sequence[FaultRecord],
    name: str,
    carried: Mapping[Link, str] | None = None,
) -> str:
    """The drawing of one design.

    Args:
        experiment: what runs, or ran.
        faults: what is, or was, broken.
        name: the design.
        carried: what each link carries now, in words, where that is known.
    """
    design = experiment.designs[name]
    marks = marks_of(experiment, faults, name)
    drawing = draw(design.topology)
    grid = _Grid.of(drawing, design, marks, _MIN_GAP_CARRYING if carried is not None else _GAP)
    parts = [
        _link(link, grid, drawing, marks, (carried or {}).get(link, "")) for link in drawing.routes
    ]
    parts += [
        _box(service, grid.middle(place), grid.box_w, design, marks)
        for service, place in drawing.place.items()
    ]
    label = escape(_sentence(design, marks))
    return (
        f'<svg class="topology" viewBox="0 0 {grid.width:.0f} {grid.height:.0f}" role="img" '
        f'aria-label="{label}" width="{grid.width:.0f}" height="{grid.height:.0f}">'
        f"<title>{label}</title>{''.join(parts)}</svg>"
    )


def marks_of(experiment: Experiment, faults: Sequence[FaultRecord], design: str) -> Marks:
    """What was broken in a design.

    Targets are names of link ends and instances; a shared one counts for every design.
    """
    deployment = deploy(experiment)
    links: dict[Link, dict[str, None]] = {}
    services: dict[str, dict[str, None]] = {}
    seen: dict[Link, str] = {}
    cut: set[Link] = set()
    for fault in faults:
        short = fault_short(fault)
        for target in fault.targets:
            for end in deployment.ends:
                if end.name == target and end.design in ("", design):
                    links.setdefault(end.link, {})[short] = None
                    seen[end.link] = fault.during
                    if fault.kind in _CUTS:
                        cut.add(end.link)
            for instance in deployment.instances:
                if instance.name == target and instance.design in ("", design):
                    texts = services.setdefault(instance.service.name, {})
                    texts[fault_at(fault, instance.host)] = None
    return Marks(
        {link: tuple(texts) for link, texts in links.items()},
        {service: tuple(texts) for service, texts in services.items()},
        seen,
        frozenset(cut),
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Pixels of the grid: left edge of each column, one box width for all, lines under a box."""

    lefts: tuple[float, ...]
    box_w: float
    rows: float
    notes: int
    foot: float

    @classmethod
    def of(cls, drawing: Drawing, design: Design, marks: Marks, least_gap: float) -> _Grid:
        texts = [_texts(name, design) for name in drawing.place]
        widest = max(max(len(name) * 7.6, len(what) * 6.0) for name, what in texts)
        box_w = min(132.0, max(64.0, widest + 14))
        gaps = [least_gap] * (drawing.layers - 1)
        for link, notes in marks.links.items():
            layers = sorted(drawing.place[end][0] for end in (link.client, link.server))
            between = range(layers[0], layers[1])
            for number in between:
                said = [notes[0] if len(notes) == 1 else "8 faults", _short(marks.seen[link])]
                wanted = _CHARACTER * max(map(len, said)) / len(between)
                gaps[number] = max(gaps[number], min(180.0, wanted + 24))
        lefts = tuple(accumulate((box_w + gap for gap in gaps), initial=_PAD))
        below = max(map(len, marks.services.values()), default=0)
        # A broken link says under its bolt what was measured, and below that what it carries.
        foot = 12.0 if marks.links and least_gap > _GAP else 0.0
        return cls(lefts, box_w, drawing.rows, below, foot)

    @property
    def width(self) -> float:
        return self.lefts[-1] + self.box_w + _PAD

    @property
    def height(self) -> float:
        return self.rows * _ROW_H + self.foot + 12 * self.notes + (2 if self.notes else 0)

    def middle(self, place: tuple[int, float]) -> tuple[float, float]:
        layer, row = place
        return self.lefts[layer] + self.box_w / 2, row * _ROW_H + _ROW_H / 2


def _short(text: str) -> str:
    return text if len(text) <= _NOTE_LENGTH else f"{text[: _NOTE_LENGTH - 1]}…"


def _link(link: Link, grid: _Grid, drawing: Drawing, marks: Marks, carried: str) -> str:
    """An arrow from the client's side to the server's, curved through its bends."""
    route = drawing.routes[link]
    rightwards = route[0][0] < route[-1][0]
    half = grid.box_w / 2 if rightwards else -grid.box_w / 2
    points = [grid.middle(place) for place in route]
    shift = _shift(link, drawing)
    points = [(x, y + shift) for x, y in points]
    points[0] = (points[0][0] + half, points[0][1])
    points[-1] = (points[-1][0] - half - (7 if rightwards else -7), points[-1][1])
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}" + "".join(
        f" C{(ax + bx) / 2:.1f} {ay:.1f} {(ax + bx) / 2:.1f} {by:.1f} {bx:.1f} {by:.1f}"
        for (ax, ay), (bx, by) in pairwise(points)
    )
    notes = marks.links.get(link, ())
    kind = "link broken cut" if link in marks.cut else "link broken" if notes else "link"
    (tip_x, tip_y), back = points[-1], -7 if rightwards else 7
    tip = f"M{tip_x - back:.1f} {tip_y:.1f} l{back:.1f} -4.5 v9 Z"
    drawn = f'<path class="{kind}" d="{path}"/><path class="tip {kind}" d="{tip}"/>'
    back_too = Link(link.server, link.client, link.port)
    said_before = marks.links.get(back_too) == notes and link.client > link.server
    if said_before:
        return drawn
    below = [_short(marks.seen.get(link, "")), carried]
    return drawn + (_note(notes, points) if notes else "") + _below(below, points, bool(notes))


def _shift(link: Link, drawing: Drawing) -> float:
    """Links between the same two services lie beside each other."""
    ends = {link.client, link.server}
    same = [other for other in drawing.routes if {other.client, other.server} == ends]
    return (same.index(link) - (len(same) - 1) / 2) * 11


def _note(notes: Sequence[str], points: Sequence[tuple[float, float]]) -> str:
    """The bolt and what was done, on the middle of the link."""
    middle = len(points) // 2
    (ax, ay), (bx, by) = points[middle - 1], points[middle]
    x, y = (ax + bx) / 2, (ay + by) / 2
    text = notes[0] if len(notes) == 1 else f"{len(notes)} faults"
    return (
        f'<circle class="bolt-ground" cx="{x:.1f}" cy="{y:.1f}" r="10"/>'
        f'<path class="bolt" transform="translate({x - 4.5:.1f} {y - 7:.1f})" d="{_BOLT}"/>'
        f'<text class="note" x="{x:.1f}" y="{min(ay, by, y - 4) - 9:.1f}">{escape(text)}</text>'
    )


def _below(lines: Sequence[str], points: Sequence[tuple[float, float]], broken: bool) -> str:  # noqa: FBT001
    """What is measured on a link, under its middle: below the bolt where there is one."""
    middle = len(points) // 2
    (ax, ay), (bx, by) = points[middle - 1], points[middle]
    along = 0.5 if broken or ay == by else _ALONG
    x, y = ax + (bx - ax) * along, ay + (by - ay) * along + (22 if broken else 12)
    said = [line for line in lines if line]
    return "".join(
        f'<text class="carried" x="{x:.1f}" y="{y + 11 * number:.1f}">{escape(line)}</text>'
        for number, line in enumerate(said)
    )


def _box(name: str, middle: tuple[float, float], width: float, design: Design, marks: Marks) -> str:
    x, y = middle
    left, top = x - width / 2, y - _BOX_H / 2
    notes = marks.services.get(name, ())
    kind = "box broken" if notes else "box client" if name == CLIENT else "box"
    title, what = _texts(name, design)
    replicas = 1 if name == CLIENT else configured(design)[name].replicas
    rectangle = f'width="{width:.1f}" height="{_BOX_H:.1f}" rx="6"'
    behind = f'<rect class="{kind} behind" x="{left + 4:.1f}" y="{top - 4:.1f}" {rectangle}/>'
    parts = [
        behind if replicas > 1 else "",
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" {rectangle}/>',
        f'<text class="name" x="{x:.1f}" y="{y - 3:.1f}">{escape(title)}</text>',
        f'<text class="what" x="{x:.1f}" y="{y + 11:.1f}">{escape(what)}</text>',
    ]
    if notes:
        corner = f"translate({left - 4:.1f} {top - 6:.1f})"
        parts.append(f'<path class="bolt" transform="{corner}" d="{_BOLT}"/>')
        for number, note in enumerate(notes, start=1):
            below = f'x="{x:.1f}" y="{y + _BOX_H / 2 + 12 * number:.1f}"'
            parts.append(f'<text class="note" {below}>{escape(note)}</text>')
    return "".join(parts)


def _texts(name: str, design: Design) -> tuple[str, str]:
    """The two lines of a box: what it is called, what runs."""
    if name == CLIENT:
        return "clients", _load(design.load)
    service = configured(design)[name]
    what = service.what.rpartition("/")[2]
    times = f" ×{service.replicas}" if service.replicas > 1 else ""
    return f"{name}{times}", what if len(what) <= 15 else what[:14] + "…"


def _load(load: Load) -> str:
    """The load in a word or two: `60/s`, `10/s to 120/s`, `8 users`."""
    if load.loop == "closed":
        return f"{load.users} users"
    if load.rate is not None:
        return format_rate(load.rate)
    rates = [rate for stage in load.stages for rate in (stage.rate, stage.to) if rate is not None]
    low, high = min(rates), max(rates)
    return format_rate(low) if low == high else f"{low:g}–{format_rate(high)}"


def _sentence(design: Design, marks: Marks) -> str:
    """The drawing in words, for those who do not see it."""
    links = ", ".join(link.pair.replace("->", "to") for link in design.topology.all_links)
    broken = [
        f"{', '.join(texts)} on {link.pair.replace('->', 'to')}"
        for link, texts in marks.links.items()
    ]
    broken += [", ".join(texts) for texts in marks.services.values()]
    said = "; ".join(broken)
    return f"Topology: {links}." + (f" Broken: {said}." if said else "")
