"""Faults of one kind at one place and time are refused where healing one would heal the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import SpecError
from lab.experiment import ScheduledFault
from lab.faults import KINDS
from lab.loading import load_experiment
from lab.loading.checks import Targets

FILE = """\
question: What if two faults meet?
phase: reliability
topology: shop
load: {{rate: 10/s, requests: [{{get: /browse/1}}]}}
timeline: {{baseline: 4s, fault: 8s, recovery: 4s}}
designs:
  one: {{holds: [p50 < 1s]}}
  two: {{holds: [p50 < 1s]}}
faults:
  - {first}
  - {second}
lesson: None.
"""
LATE = "blackhole: {link: app -> inventory, at: 4s, for: 4s, name: early}"


def _load(tmp_path: Path, second: str, first: str = LATE):
    file = tmp_path / "meeting.yaml"
    file.write_text(FILE.format(first=first, second=second))
    return load_experiment(file, KINDS)


@pytest.mark.parametrize(
    "second",
    [
        "blackhole: {link: app -> inventory, at: 7s, for: 4s}",
        "blackhole: {link: app-1 -> inventory, stream: upstream, at: 2s, for: 10s}",
    ],
)
def test_two_of_a_kind_at_one_place_and_time_are_refused(tmp_path, second):
    """The second one is pointed at, the first one and the place are named."""
    with pytest.raises(SpecError) as caught:
        _load(tmp_path, second)
    (problem,) = caught.value.problems
    assert problem.line == 11
    assert "`early` is on app-1 -> inventory-1:8000 at that time too" in problem.message


@pytest.mark.parametrize(
    "second",
    [
        "blackhole: {link: app -> inventory, at: 8s, for: 4s}",
        "blackhole: {link: client -> app, at: 5s, for: 4s}",
        "refuse: {link: app -> inventory, at: 5s, for: 4s}",
    ],
)
def test_one_after_the_other_elsewhere_or_of_another_kind_is_fine(tmp_path, second):
    """They do not touch what the other one did."""
    assert len(_load(tmp_path, second).faults) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "partition: {between: [app, inventory], at: 4s, for: 4s}",
            "partition: {isolate: inventory, at: 6s, for: 4s, name: whole}",
        ),
        (
            "loss: {link: app -> inventory, share: 5%, at: 4s, for: 4s}",
            "loss: {link: app -> inventory, share: 5%, at: 6s, for: 4s, name: more}",
        ),
    ],
)
def test_packet_faults_of_one_kind_may_meet(tmp_path, first, second):
    """Packets are dropped for as long as anybody wants it, so each heals alone."""
    assert len(_load(tmp_path, second, first).faults) == 2


def test_one_and_the_same_value_meets_itself(tmp_path):
    """Built in Python, one fault on the timeline twice: healing it once heals both."""
    loaded = _load(tmp_path, "refuse: {link: app -> inventory, at: 1s, for: 2s}", LATE)
    fault = KINDS["loss"].model_validate({"link": "app -> inventory", "share": "5%"})
    same, again, like = (
        ScheduledFault(fault=one, at_s=at_s, for_s=4, name=name)
        for one, at_s, name in (
            (fault, 4, "one"),
            (fault, 6, "two"),
            (fault.model_copy(), 6, "three"),
        )
    )
    topology = next(iter(loaded.designs.values())).topology
    targets = Targets([(topology, {})])
    assert targets.overlap(same, again)
    assert targets.overlap(same, like) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "latency: {link: app -> inventory, delay: 100ms, at: 4s, for: 4s}",
            "latency: {link: app -> inventory, delay: 50ms, at: 5s, for: 4s}",
        ),
        (
            "bandwidth: {link: app -> inventory, rate: 10KB/s, at: 4s, for: 4s}",
            "bandwidth: {link: app -> inventory, rate: 10KB/s, at: 5s, for: 4s, stream: upstream}",
        ),
    ],
)
def test_two_of_a_kind_that_add_up_or_go_opposite_ways_are_fine(tmp_path, first, second):
    """Each has toxics of its own, and shows beside the other."""
    assert len(_load(tmp_path, second, first).faults) == 2
