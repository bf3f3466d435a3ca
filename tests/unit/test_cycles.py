"""Anomalies of transactions: hand-made ones by name, and databases that keep a known level."""

from __future__ import annotations

import re
from itertools import pairwise, permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checkers.cycles import ANOMALIES, LEVELS, Edge, Graph, anomalies, excluded_levels
from lab.history import ClientOp
from tests.unit.databases import Database, ReadCommitted, ReadUncommitted, SnapshotIsolation, use


def txn(text: str, from_s=0, to_s=10, outcome="ok", process=None) -> ClientOp:
    """`ax1 rx[1 2] ry[]`: append 1 to x, read x as [1, 2], read y as empty."""
    steps: list[tuple[str, str, Any]] = []
    for kind, key, value in re.findall(r"([ar])(\w)(\d+|\[[^]]*\])", text):
        numbers = tuple(map(int, re.findall(r"\d+", value)))
        steps.append(("append", key, numbers[0]) if kind == "a" else ("read", key, numbers))
    who = abs(hash(text)) if process is None else process
    asked = tuple((kind, key, value if kind == "append" else None) for kind, key, value in steps)
    result = tuple(steps) if outcome == "ok" else None
    return ClientOp("", who, "txn", "", asked, result, from_s, to_s, outcome)


def seen(*ops: ClientOp) -> set[str]:
    """Names of the anomalies of a history."""
    return {finding.name for finding in anomalies(ops) if finding.value}


PLANTED = {
    "G0": [txn("ax1 ay1"), txn("ax2 ay2"), txn("rx[1 2]"), txn("ry[2 1]")],
    "G1a": [txn("ax1", outcome="fail"), txn("rx[1]")],
    "G1b": [txn("ax1 ax2"), txn("rx[1]"), txn("rx[1 2]")],
    "G1c": [txn("ax1 ry[1]"), txn("ay1 rx[1]")],
    "G-single": [txn("ax1 ay1"), txn("rx[] ry[1]"), txn("rx[1]")],
    "G2-item": [txn("rx[] ay1"), txn("ry[] ax1"), txn("rx[1] ry[1]")],
    "lost update": [txn("rx[] ax1"), txn("rx[] ax2"), txn("rx[1 2]")],
    "internal": [txn("ax1 rx[]")],
    "incompatible order": [txn("ax1"), txn("ax2"), txn("rx[1 2]"), txn("rx[2 1]")],
    "duplicate elements": [txn("ax1"), txn("rx[1 1]")],
    "garbage reads": [txn("rx[7]")],
    "G-single-realtime": [txn("ax1", 0, 1), txn("rx[]", 2, 3), txn("rx[1]", 4, 5)],
    "G-single-process": [txn("ax1", process=1), txn("rx[]", process=1), txn("rx[1]", process=2)],
    "G0-realtime": [txn("ax1", 0, 1), txn("ax2", 2, 3), txn("rx[2 1]", 4, 5)],
    "G1c-realtime": [txn("rx[1]", 0, 1), txn("ax1", 2, 3)],
    "G2-item-realtime": [
        *(txn("ax1", 0, 1), txn("ry[]", 2, 3), txn("ay1"), txn("ry[1] rx[]")),
        txn("rx[1]", 20, 21),
    ],
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_anomaly_is_found_by_name(name):
    """Each in the smallest history that has it, with its operations and a sentence."""
    (finding,) = [finding for finding in anomalies(PLANTED[name]) if finding.name == name]
    assert finding.holds is False
    example = finding.counterexamples[0]
    assert set(example.ops) <= set(PLANTED[name])
    assert example.text.startswith(("T1", "T2", "process"))


WORSE = {
    "G0": {"G0"},
    "G-single": {"G-single"},
    "G2-item": {"G2-item"},
    "G1c": {"G1c"},
    "G1a": {"G1a"},
    "G1b": {"G1b", "G-single"},
    "internal": {"internal"},
    "G-single-realtime": {"G-single-realtime"},
    "G1c-realtime": {"G1c-realtime"},
}


@pytest.mark.parametrize("name", WORSE)
def test_nothing_else_is_said_of_it(name):
    """An anomaly is not called by the names of others."""
    assert seen(*PLANTED[name]) == WORSE[name]


def test_a_counterexample_is_the_shortest_cycle_in_words():
    """Of a long way round and a short one, the short one, one sentence an edge."""
    ops = [*PLANTED["G1c"], txn("az1 rx[1]"), txn("rz[1] aw1"), txn("rw[1]")]
    (finding,) = [finding for finding in anomalies(ops) if finding.name == "G1c"]
    (example,) = finding.counterexamples
    assert sorted((arrow.start, arrow.end, arrow.label) for arrow in example.arrows) == [
        *((0, 1, "wr"), (1, 0, "wr"))
    ]
    assert example.text.endswith("which T2 had appended: a circle")


def test_an_unanswered_transaction_counts_once_it_is_seen():
    """Its append was read, so it happened, and its order counts; unseen it says nothing."""
    unseen = txn("ax1 ay1", outcome="info")
    assert seen(unseen, txn("rx[] ry[]")) == set()
    assert "G-single" in seen(unseen, txn("rx[1] ry[]"), txn("ry[1]"))


def test_values_that_are_not_unique_say_nothing():
    """Unknown, with the value, rather than a wrong name."""
    findings = anomalies([txn("ax1"), txn("ax1", process=9)])
    assert {finding.holds for finding in findings} == {None}
    assert findings[0].reason == "1 was appended to x twice"


SEEDS = st.integers(0, 2**32)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, lost_share=st.sampled_from([0.0, 0.1]))
def test_a_serial_database_shows_none(seed, lost_share):
    """No false alarm, also where answers are lost."""
    ops = use(Database(), Random(seed), 60, lost_share=lost_share)
    assert seen(*ops) == set()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, lost_share=st.sampled_from([0.0, 0.1]))
def test_snapshot_isolation_keeps_what_it_promises(seed, lost_share):
    """Write skew may show, and nothing that the level excludes."""
    ops = use(SnapshotIsolation(), Random(seed), 60, lost_share=lost_share)
    assert not seen(*ops) & LEVELS["snapshot isolation"]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, lost_share=st.sampled_from([0.0, 0.1]))
def test_read_committed_keeps_what_it_promises(seed, lost_share):
    """Lost updates and read skew may show, and nothing that the level excludes."""
    ops = use(ReadCommitted(), Random(seed), 60, lost_share=lost_share)
    assert not seen(*ops) & LEVELS["read committed"]


@pytest.mark.parametrize(
    ("database", "anomaly", "kept"),
    [
        (SnapshotIsolation, "G2-item", "snapshot isolation"),
        (ReadCommitted, "lost update", "read committed"),
        (ReadCommitted, "G-single", "read committed"),
        (ReadUncommitted, "G1a", None),
        (ReadUncommitted, "G1c", None),
    ],
)
def test_what_a_level_allows_is_seen_on_it(database, anomaly, kept):
    """The checker does not pass by saying nothing: some run of 20 shows it."""
    runs = [anomalies(use(database(), Random(seed), 60)) for seed in range(20)]
    shown = [run for run in runs if any(f.name == anomaly and f.value for f in run)]
    assert shown
    excluded = excluded_levels(shown[0])
    assert "serializable" in excluded
    assert (kept not in excluded) if kept else ("read committed" in excluded)


def test_levels_promise_more_and_more():
    """Each level excludes what the ones below exclude, and every anomaly is excluded by one."""
    chain = ["read uncommitted", "read committed", "snapshot isolation", "serializable"]
    chain += ["strong session serializable", "strict serializable"]
    assert all(LEVELS[weak] <= LEVELS[strong] for weak, strong in pairwise(chain))
    assert LEVELS["strict serializable"] == set(ANOMALIES)


@settings(max_examples=200, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
def test_components_are_the_nodes_on_cycles(pairs):
    """Against trying every simple path; and every way that is found is one."""
    graph = Graph()
    for start, end in pairs:
        graph.add(Edge(start, end, "ww", ""))
    arrows = {(start, end) for start, end in pairs if start != end}

    def reaches(start: int, end: int) -> bool:
        todo, reached = [start], set()
        while todo:
            node = todo.pop()
            following = {b for a, b in arrows if a == node} - reached
            reached |= following
            todo += following
        return end in reached

    components = graph.components(["ww"])
    assert set(components) == {node for node in range(7) if reaches(node, node)}
    for one, other in permutations(components, 2):
        together = reaches(one, other) and reaches(other, one)
        assert (components[one] == components[other]) is together
    for start, end in permutations(range(7), 2):
        way = graph.way(start, end, ["ww"], range(7))
        assert (way is not None) is reaches(start, end)
        if way:
            assert [edge.start for edge in way] == [start, *(edge.end for edge in way[:-1])]
