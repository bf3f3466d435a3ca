"""Directed graphs with kinds of edges: strongly connected components and shortest ways."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Edge(NamedTuple):
    """From one node to another; `why` says in words what it stands for."""

    start: int
    end: int
    kind: str
    why: str


@dataclass(slots=True)
class Graph:
    """Nodes are numbers. Between two nodes there is at most one edge of each kind, the first."""

    _out: dict[str, dict[int, dict[int, Edge]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )

    def add(self, edge: Edge) -> None:
        """Add an edge; one from a node to itself says nothing and is left out."""
        if edge.start != edge.end:
            self._out[edge.kind][edge.start].setdefault(edge.end, edge)

    def edges(self, kind: str) -> Iterator[Edge]:
        """All edges of a kind."""
        for ends in list(self._out[kind].values()):
            yield from ends.values()

    def successors(self, node: int, kinds: Sequence[str]) -> Iterator[Edge]:
        """Edges of these kinds from a node; the kinds named first come first."""
        for kind in kinds:
            ends = self._out[kind].get(node)
            if ends:
                yield from ends.values()

    def components(self, kinds: Sequence[str]) -> Mapping[int, int]:
        """The component of every node on a cycle of these kinds; the others are not there.

        Tarjan, "Depth-first search and linear graph algorithms" (1972), with a stack of its own in
        place of recursion, as histories are longer than Python's.
        """
        nodes = {node for kind in kinds for node in self._out[kind]}
        return _Tarjan(self, kinds).components(nodes)

    def way(
        self,
        start: int,
        goal: int,
        kinds: Sequence[str],
        within: Collection[int],
        with_kind: str = "",
    ) -> list[Edge] | None:
        """A shortest way from one node to another, visiting no node twice.

        Args:
            start: where it begins.
            goal: where it ends.
            kinds: the kinds of edges that may be used.
            within: the nodes that may be used.
            with_kind: a kind of which it needs at least one edge.
        """
        first = (start, not with_kind)
        came: dict[tuple[int, bool], tuple[tuple[int, bool], Edge] | None] = {first: None}
        queue = deque([first])
        while queue:
            node, had = place = queue.popleft()
            for edge in self.successors(node, kinds):
                following = (edge.end, had or edge.kind == with_kind)
                if edge.end not in within or following in came:
                    continue
                came[following] = (place, edge)
                if following == (goal, True):
                    found = _back(came, following)
                    return found if len({one.end for one in found}) == len(found) else None
                queue.append(following)
        return None


def _back(
    came: Mapping[tuple[int, bool], tuple[tuple[int, bool], Edge] | None], place: tuple[int, bool]
) -> list[Edge]:
    edges = []
    while before := came[place]:
        place, edge = before
        edges.append(edge)
    return edges[::-1]


class _Tarjan:
    """One run of the algorithm."""

    def __init__(self, graph: Graph, kinds: Sequence[str]) -> None:
        self.graph, self.kinds = graph, kinds
        self.index: dict[int, int] = {}
        self.low: dict[int, int] = {}
        self.open: dict[int, None] = {}
        self.found: dict[int, int] = {}

    def components(self, nodes: Collection[int]) -> Mapping[int, int]:
        for node in sorted(nodes):
            if node not in self.index:
                self._from(node)
        return self.found

    def _from(self, root: int) -> None:
        stack = [(root, self._enter(root))]
        while stack:
            node, edges = stack[-1]
            for edge in edges:
                if edge.end not in self.index:
                    stack.append((edge.end, self._enter(edge.end)))
                    break
                if edge.end in self.open:
                    self.low[node] = min(self.low[node], self.index[edge.end])
            else:
                stack.pop()
                if stack:
                    above = stack[-1][0]
                    self.low[above] = min(self.low[above], self.low[node])
                self._leave(node)

    def _enter(self, node: int) -> Iterator[Edge]:
        self.index[node] = self.low[node] = len(self.index)
        self.open[node] = None
        return self.graph.successors(node, self.kinds)

    def _leave(self, node: int) -> None:
        if self.low[node] != self.index[node]:
            return
        members = []
        while True:
            member, _ = self.open.popitem()
            members.append(member)
            if member == node:
                break
        if len(members) > 1:
            self.found.update(dict.fromkeys(members, node))
