"""Anomalies that are cycles: transactions each of which must have come before the next.

    G0        appends only: each list orders them otherwise
    G1c       appends and reads of them: information flows in a circle
    G-single  one of them read a list without what the next appended (read skew)
    G2-item   several of them did (write skew)

Names as in Adya 1999; a cycle that needs the order within a process or real time says so at the
end of its name, as in Elle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from lab.checkers.cycles.dependencies import PROCESS, REALTIME, RW, WR, WW
from lab.checkers.cycles.graph import Edge, Graph
from lab.checkers.cycles.transactions import Transactions
from lab.checkers.finding import SHOWN, Arrow, Counterexample

_TRIED = 64
"""Edges from which a shorter cycle is looked for once one is found."""


class Shape(NamedTuple):
    """A cycle through an edge of kind `has`, back by `back`, with one more of kind `also`."""

    has: str
    back: tuple[str, ...]
    also: str = ""


SHAPES: Final[Mapping[str, Shape]] = {
    "G0": Shape(WW, (WW,)),
    "G1c": Shape(WR, (WW, WR)),
    "G-single": Shape(RW, (WW, WR)),
    "G2-item": Shape(RW, (WW, WR, RW), RW),
}
"""By name; a weaker one comes before those that it would hide."""

EXTRA: Final = ("", PROCESS, REALTIME)


def cycle_names() -> list[str]:
    """All names: `G0`, `G0-process`, `G0-realtime`, `G1c` ..."""
    return [f"{name}-{extra}" if extra else name for name in SHAPES for extra in EXTRA]


def cycles(graph: Graph, txns: Transactions) -> dict[str, list[Counterexample]]:
    """The shortest cycle of each component, by name.

    With the order of a process or of time only what it adds: where a plain cycle is, that is told.
    """
    found: dict[str, list[Counterexample]] = {name: [] for name in cycle_names()}
    for name, shape in SHAPES.items():
        for extra in EXTRA:
            ways = list(_shortest(graph, shape, extra))
            if ways:
                full = f"{name}-{extra}" if extra else name
                found[full] = [_told(way, txns) for way in ways]
                break
    return found


def _shortest(graph: Graph, shape: Shape, extra: str) -> Iterator[Sequence[Edge]]:
    """One cycle a component."""
    back = (*shape.back, extra) if extra else shape.back
    components = graph.components(tuple(dict.fromkeys((*back, shape.has))))
    members: dict[int, set[int]] = {}
    for node, component in components.items():
        members.setdefault(component, set()).add(node)
    best: dict[int, list[Edge]] = {}
    tried: dict[int, int] = {}
    for edge in graph.edges(shape.has):
        component = components.get(edge.start, -1)
        if component < 0 or component != components.get(edge.end):
            continue
        if component in best:
            tried[component] = tried.get(component, 0) + 1
            if tried[component] > _TRIED or len(best) > SHOWN:
                continue
        way = graph.way(edge.end, edge.start, back, members[component], shape.also)
        if way and (component not in best or len(way) + 1 < len(best[component])):
            best[component] = [edge, *way]
    yield from sorted(best.values(), key=len)


def _told(way: Sequence[Edge], txns: Transactions) -> Counterexample:
    """The cycle in words, one sentence an edge."""
    places = {edge.start: place for place, edge in enumerate(way)}
    names = {node: f"T{place + 1}" for node, place in places.items()}
    told = [edge.why.format(names[edge.start], names[edge.end]) for edge in way]
    return Counterexample(
        "; ".join(told) + ": a circle",
        tuple(txns.ops[edge.start] for edge in way),
        (),
        tuple(Arrow(places[edge.start], places[edge.end], edge.kind) for edge in way),
    )
