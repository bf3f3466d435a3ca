"""Mistakes say what to do, and what is no mistake loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import SpecError
from lab.faults import KINDS
from lab.loading import load_experiment

EXPERIMENT = """\
question: What is left?
phase: instrument
topology: shop
load: {rate: 1/s, requests: [{get: /}]}
timeline: {baseline: 8s, fault: 2s, calm: 8s}
faults:
  - FAULT
designs:
  one: {holds: [errors < 1% during CLAIMED], why: "{p99 during SAID}"}
  two: {holds: [errors < 1% during calm], why: x}
lesson: none
"""


def load(tmp_path: Path, fault: str = "", claimed: str = "calm", said: str = "calm"):
    """An experiment whose middle phase is as long as what is trimmed."""
    text = EXPERIMENT.replace("FAULT", fault or "pause: {service: app}")
    file = tmp_path / "it.yaml"
    file.write_text(text.replace("CLAIMED", claimed).replace("SAID", said))
    return load_experiment(file, KINDS)


def mistakes(tmp_path: Path, *args: str) -> list[str]:
    """`message -> hint` of each."""
    with pytest.raises(SpecError) as caught:
        load(tmp_path, *args)
    return [f"{problem.message} -> {problem.hint}" for problem in caught.value.problems]


def test_a_short_phase_is_a_mistake_only_where_something_is_measured_in_it(tmp_path: Path):
    """In 2 s of which 1 s is trimmed at both edges nothing is left; nobody looks there."""
    assert load(tmp_path).phases[1].end_s == 10
    load(tmp_path, "", "calm", "calm")
    wrong = (
        "nothing is left of `fault` (2 s) once 1 s are trimmed at both edges"
        " -> make it longer, or set `trim`"
    )
    assert mistakes(tmp_path, "", "fault") == [wrong]
    assert mistakes(tmp_path, "", "calm", "fault") == [wrong]
    load(tmp_path, "", "calm", "calm")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            "pause: {service: app, at: 40s, for: 1s}",
            "40 s is after the timeline, which ends at 18 s -> write less than 18s",
        ),
        (
            "failpoint: {service: app, point: request, do: delay}",
            "`do: delay` does not say how long -> write delay: 500ms beside it",
        ),
        (
            "failpoint: {service: app, point: request, do: die, delay: 1s}",
            "`delay` has no effect with `do: die` -> write do: delay",
        ),
    ],
)
def test_what_is_wrong_comes_with_what_to_write(tmp_path: Path, fault: str, said: str):
    assert mistakes(tmp_path, fault) == [said]


def test_an_empty_file_says_where_to_begin(tmp_path: Path):
    file = tmp_path / "empty.yaml"
    file.write_text("")
    with pytest.raises(SpecError, match="the file is empty") as caught:
        load_experiment(file, KINDS)
    assert "docs/adding/" in caught.value.problems[0].hint
