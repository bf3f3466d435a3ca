"""Verdicts of others on histories of real systems, and ours.

The data is not part of this project: LAB_HISTORIES names the folder that holds it, with etcd/*.log
and verdicts.csv beside them, kv/*-ok.txt and *-bad.txt (both as Porcupine ships them), and
cas-register/good-*.edn and bad-*.edn (as Knossos does).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.checkers.linear import Search, by_object, linearizable, model_for, smallest
from lab.history import ClientOp
from tests.unit.published import read_etcd, read_maps

VARIABLE = "LAB_HISTORIES"


class Published(NamedTuple):
    """One file, how it is read, and what is known of it."""

    path: Path
    read: Callable[[Path], list[ClientOp]]
    linearizable: bool


def _published() -> Iterator[Published]:
    named = os.environ.get(VARIABLE)
    if not named:
        return
    folder = Path(named)
    verdicts = folder / "etcd" / "verdicts.csv"
    if verdicts.exists():
        with verdicts.open() as lines:
            for row in csv.DictReader(lines):
                path = folder / "etcd" / row["file"]
                if path.exists():
                    yield Published(path, read_etcd, row["linearizable"] == "true")
    for path in sorted(folder.glob("kv/*.txt")):
        yield Published(path, read_maps, path.stem.endswith("ok"))
    for path in sorted(folder.glob("cas-register/*.edn")):
        yield Published(path, read_maps, path.stem.startswith("good"))


PUBLISHED = list(_published())


def test_the_histories_are_there():
    """Where the variable is set, an empty folder is a mistake of the machine, not a green test."""
    if not os.environ.get(VARIABLE):
        pytest.skip(f"needs published histories: {VARIABLE} names no folder")
    families = {one.path.parent.name for one in PUBLISHED}
    if not families and not os.environ.get("CI"):
        pytest.skip(f"needs published histories: {os.environ[VARIABLE]} holds none")
    assert families == {"etcd", "kv", "cas-register"}
    assert {one.linearizable for one in PUBLISHED} == {True, False}


@pytest.mark.parametrize(
    "one", PUBLISHED, ids=lambda one: f"{one.path.parent.name}/{one.path.name}"
)
def test_the_verdict_is_the_published_one(one):
    """And one that is not linearizable comes with operations that contradict each other."""
    ops = one.read(one.path)
    assert len(ops) > 1
    finding = linearizable(ops)
    assert finding.holds is one.linearizable
    assert bool(finding.counterexamples) is not one.linearizable


@pytest.mark.parametrize(
    "one",
    [one for one in PUBLISHED if not one.linearizable],
    ids=lambda one: f"{one.path.parent.name}/{one.path.name}",
)
def test_the_counterexample_is_small_and_true(one):
    """A few of the history's own operations; from none of its states is there an order."""
    for part in by_object(one.read(one.path)).values():
        model = model_for(part)
        assert model is not None
        search = Search(part, model)
        if search.run().linearizable:
            continue
        small = smallest(part, model)
        assert set(small.ops) <= set(part)
        assert small.wrong in small.ops
        assert len(small.ops) <= 8
        states = search.seen_states()
        assert not Search(small.ops, model).run(roots=states).linearizable
