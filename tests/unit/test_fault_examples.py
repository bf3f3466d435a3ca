"""The example of each fault kind is one that somebody can copy: it loads on a shipped topology."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli import faults
from lab.errors import SpecError
from lab.faults import KINDS
from lab.loading import find_topology, list_topologies, load_experiment, load_topology

PROJECT = Path(__file__).resolve().parents[2]
EXPERIMENT = """\
question: Does it load?
phase: instrument
topology: TOPOLOGY
load: {rate: 1/s, requests: [{get: /}]}
timeline: {baseline: 4s, fault: 4s}
faults:
  FAULT
designs:
  one: {holds: [errors < 1%], why: x}
  two: {holds: [errors < 1%], why: x}
lesson: none
"""
NEEDS_A_STANDBY = {"promote"}
"""It loads, for `db` could be replicated; a run is refused before the load: nobody is a replica."""


def test_every_example_loads_on_a_topology_that_is_shipped(tmp_path: Path):
    """Names in it are those of the shop, of the shortener, or of the slots."""
    file = tmp_path / "example.yaml"
    homeless = {}
    for kind in faults.kinds():
        said = []
        for topology in list_topologies(PROJECT):
            text = EXPERIMENT.replace("TOPOLOGY", topology).replace("FAULT", kind.example)
            file.write_text(text)
            try:
                load_experiment(file, KINDS)
                break
            except SpecError as error:
                said.append(f"{topology}: {error.problems[0].message}")
        else:
            homeless[kind.name] = said
    assert homeless == {}


def test_an_example_s_failpoint_is_in_the_code():
    """No file says which points there are, so nothing else would notice."""
    (example,) = KINDS["failpoint"].model_json_schema()["examples"]
    folder = PROJECT / "topologies" / "shop" / example["service"]
    code = "".join(path.read_text() for path in folder.rglob("*.py"))
    assert f'failpoint("{example["point"]}")' in code


@pytest.mark.parametrize("kind", sorted(NEEDS_A_STANDBY))
def test_what_takes_a_topology_of_one_s_own_says_so(kind: str):
    """On the page, below the example."""
    (found,) = [one for one in faults.kinds() if one.name == kind]
    (said,) = [one.description for one in found.settings if one.name == "service"]
    assert "of the topologies that come with the lab, none has one" in said


def test_no_shipped_topology_has_a_standby():
    """Else the page would be wrong, and there would be a better example."""
    for name in list_topologies(PROJECT):
        for service in load_topology(find_topology(name, PROJECT), name).services.values():
            written = " ".join((*(service.command or ()), *service.environment))
            assert "replicaof" not in written.lower()
            assert "standby" not in written.lower()
