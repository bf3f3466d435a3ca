"""Where to draw the services of a topology: longest-path layers, ordered by barycentres.

The classic layered drawing (Sugiyama, Tagawa, Toda 1981), small: links that would go backwards are
turned round for the layering, long links get a bend in every layer they cross, and a few sweeps
put each node at the mean place of its neighbours. Same topology, same drawing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.topology import CLIENT, Link, Topology

_SWEEPS = 8
"""Orders of graphs this small settle within a few sweeps; more changes nothing."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Places on a grid: `layers` columns by `rows` rows.

    `place` holds (layer, row) by service, rows may be fractions; `routes` the bends of each link
    from client to server, ends included.
    """

    layers: int
    rows: float
    place: Mapping[str, tuple[int, float]]
    routes: Mapping[Link, tuple[tuple[int, float], ...]]


def draw(topology: Topology) -> Drawing:
    """The places of everything that a link touches, and of the client."""
    links = list(dict.fromkeys(topology.all_links))
    nodes = list(
        dict.fromkeys([CLIENT, *(end for link in links for end in (link.client, link.server))])
    )
    forward = _forward(nodes, links)
    layer = _layers(nodes, forward)
    chains = {pair: _chain(pair, layer) for pair in forward}
    columns = _columns(nodes, layer, chains.values())
    _order(columns, chains.values())
    rows = max(len(column) for column in columns)
    place = {
        node: (number, index + (rows - len(column)) / 2)
        for number, column in enumerate(columns)
        for index, node in enumerate(column)
    }
    routes = {}
    for link in links:
        pair = (link.client, link.server)
        chain = chains[pair] if pair in chains else chains[pair[::-1]][::-1]
        routes[link] = tuple(place[node] for node in chain)
    return Drawing(len(columns), rows, {n: place[n] for n in nodes}, routes)


def _forward(nodes: Sequence[str], links: Sequence[Link]) -> list[tuple[str, str]]:
    """The links as pairs without cycles: one that leads back to a node still open is turned."""
    targets: dict[str, list[str]] = {node: [] for node in nodes}
    for link in links:
        if link.server not in targets[link.client]:
            targets[link.client].append(link.server)
    pairs: dict[tuple[str, str], None] = {}
    done: set[str] = set()
    open_: set[str] = set()

    def visit(node: str) -> None:
        open_.add(node)
        for target in targets[node]:
            pairs[(target, node) if target in open_ else (node, target)] = None
            if target not in open_ and target not in done:
                visit(target)
        open_.discard(node)
        done.add(node)

    for node in nodes:
        if node not in done:
            visit(node)
    return list(pairs)


def _layers(nodes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each node one layer beyond the farthest of its clients."""
    layer = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for client, server in pairs:
            layer[server] = max(layer[server], layer[client] + 1)
    return layer


def _chain(pair: tuple[str, str], layer: Mapping[str, int]) -> tuple[str, ...]:
    """The link's nodes from layer to layer, with a bend where it crosses one."""
    client, server = pair
    bends = [f"{client}>{server}@{number}" for number in range(layer[client] + 1, layer[server])]
    return (client, *bends, server)


def _columns(
    nodes: Sequence[str], layer: Mapping[str, int], chains: Collection[tuple[str, ...]]
) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for node in nodes:
        columns[layer[node]].append(node)
    for chain in chains:
        for offset, node in enumerate(chain[1:-1], start=1):
            columns[layer[chain[0]] + offset].append(node)
    return columns


def _order(columns: list[list[str]], chains: Collection[tuple[str, ...]]) -> None:
    """Sort each column by the mean place of the neighbours in the column before, then after."""
    neighbours: dict[str, list[str]] = {}
    for chain in chains:
        for one, other in pairwise(chain):
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    for sweep in range(_SWEEPS):
        ordered = range(1, len(columns)) if sweep % 2 == 0 else range(len(columns) - 2, -1, -1)
        for number in ordered:
            beside = columns[number - 1 if sweep % 2 == 0 else number + 1]
            at = {node: (i + 0.5) / len(beside) for i, node in enumerate(beside)}
            own = {node: (i + 0.5) / len(columns[number]) for i, node in enumerate(columns[number])}
            columns[number].sort(key=lambda node: _mean(node, neighbours, at, own))


def _mean(
    node: str,
    neighbours: Mapping[str, Sequence[str]],
    at: Mapping[str, float],
    own: Mapping[str, float],
) -> float:
    places = [at[other] for other in neighbours.get(node, ()) if other in at]
    return sum(places) / len(places) if places else own[node]
