"""Which transaction must have come before which, and why.

    ww  the one appended to a list after the other's item
    wr  the one read what the other had appended last
    rw  the one read a list without what the other appended next
    process   the one came before the other in the same process
    realtime  the one had returned before the other was invoked

(Adya, "Weak consistency", 1999, section 3.1; process and real time as in Elle, section 5.1.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from lab.checkers.cycles.graph import Edge, Graph
from lab.checkers.cycles.transactions import Transactions
from lab.checkers.finding import brief

WW, WR, RW, PROCESS, REALTIME = "ww", "wr", "rw", "process", "realtime"


def dependencies(txns: Transactions) -> Graph:
    """The graph of all committed transactions, by number."""
    graph = Graph()
    chains = {key: _chain(key, order, txns) for key, order in txns.orders.items()}
    for edge in (*_appended(txns, chains), *_read(txns, chains), *_process(txns), *_realtime(txns)):
        graph.add(edge)
    return graph


Chain = list[tuple[Any, int]]
"""(value, who appended it), in order; of committed transactions only."""


def _chain(key: str, order: tuple[Any, ...], txns: Transactions) -> Chain:
    writers = ((value, txns.writers.get((key, value))) for value in dict.fromkeys(order))
    return [(value, w) for value, w in writers if w is not None and txns.committed(w)]


def _unread(txns: Transactions) -> dict[str, list[tuple[Any, int]]]:
    """Appends that were acknowledged and never read: they came after all that were."""
    found: dict[str, list[tuple[Any, int]]] = {}
    seen = {(key, value) for key, order in txns.orders.items() for value in order}
    for (key, value), writer in txns.writers.items():
        if txns.ops[writer].outcome == "ok" and (key, value) not in seen:
            found.setdefault(key, []).append((value, writer))
    return found


def _appended(txns: Transactions, chains: Mapping[str, Chain]) -> Iterator[Edge]:
    unread = _unread(txns)
    for key, chain in chains.items():
        following = list(pairwise(chain))
        if chain:
            following += [(chain[-1], later) for later in unread.get(key, ())]
        for (before, one), (after, other) in following:
            why = f"appended {brief(after)} to {key} after {{0}}'s {brief(before)}"
            yield Edge(one, other, WW, f"{{1}} {why}")


def _read(txns: Transactions, chains: Mapping[str, Chain]) -> Iterator[Edge]:
    unread = _unread(txns)
    places = {
        key: {value: place for place, (value, _) in enumerate(chain)}
        for key, chain in chains.items()
    }
    for read in txns.reads:
        if not read.first or read.values != txns.orders[read.key][: len(read.values)]:
            continue
        key, chain = read.key, chains[read.key]
        place = -1
        if read.values:
            last = read.values[-1]
            if last not in places[key]:
                continue
            place = places[key][last]
            why = f"{{1}} read {key} with {brief(last)}, which {{0}} had appended"
            yield Edge(chain[place][1], read.transaction, WR, why)
        later = chain[place + 1 : place + 2] or unread.get(key, [])
        for value, writer in later:
            why = f"{{0}} read {key} without {brief(value)}, which {{1}} appended"
            yield Edge(read.transaction, writer, RW, why)


def _process(txns: Transactions) -> Iterator[Edge]:
    last: dict[int, int] = {}
    for number, op in enumerate(txns.ops):
        if txns.committed(number):
            if op.process in last:
                why = f"process {op.process} did {{0}} before {{1}}"
                yield Edge(last[op.process], number, PROCESS, why)
            last[op.process] = number


def _realtime(txns: Transactions) -> Iterator[Edge]:
    """Only from those after which no other began and returned: the rest follows."""
    moments = [
        (at_s, returned, number)
        for number, op in enumerate(txns.ops)
        if txns.committed(number)
        for at_s, returned in ((op.invoked_s, False), (op.end_s, True))
    ]
    newest: list[int] = []
    for _, returned, number in sorted(moments):
        op = txns.ops[number]
        if returned:
            newest = [n for n in newest if txns.ops[n].end_s >= op.invoked_s]
            newest.append(number)
            continue
        for before in newest:
            yield Edge(before, number, REALTIME, "{0} had returned before {1} began")
