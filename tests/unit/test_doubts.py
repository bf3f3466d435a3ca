"""What loads and was hardly meant is said before the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.faults import KINDS
from lab.loading import doubts, list_experiments, load_experiment

PROJECT = Path(__file__).resolve().parents[2]
EXPERIMENT = """\
question: Is a slip of the pen seen?
phase: instrument
topology: shop
load: {rate: 1/s, requests: [{get: /}]}
timeline: {baseline: 4s, fault: 4s}
designs:
  one: {holds: [errors < 1%], why: x, env: {app: {TIMOUT: 1s, TIMEOUT: 2s}}}
  two: {holds: [errors < 1%], why: x, env: {inventory: {PYTHONHASHSEED: "1"}}}
lesson: none
"""
SLIP = (
    "design `one` sets `TIMOUT` of `app`, which is not under its `environment` in topology `shop`; "
    "did you mean `TIMEOUT`?"
)
OTHER = (
    "design `two` sets `PYTHONHASHSEED` of `inventory`, which is not under its `environment` in "
    "topology `shop`; if the image knows it, all is well"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An experiment that sets a variable of nobody."""
    path = tmp_path / "slip.yaml"
    path.write_text(EXPERIMENT)
    return path


def test_a_variable_that_nobody_declares_is_a_warning(file: Path):
    """With the nearest name; a declared one is none."""
    assert doubts(load_experiment(file, KINDS)) == [SLIP, OTHER]


def test_the_plan_says_it(file: Path):
    """To people and to programs."""
    said = CliRunner().invoke(app, ["plan", str(file)])
    assert f"warning: {SLIP}" in " ".join(said.output.split())
    told = CliRunner().invoke(app, ["plan", str(file), "--json"])
    assert json.loads(told.output)["warnings"] == [SLIP, OTHER]


def test_shipped_experiments_leave_no_doubt():
    """Their topologies declare what their designs set."""
    for path in list_experiments(PROJECT):
        assert doubts(load_experiment(path, KINDS)) == []
