"""Which instances a fault of a service means, and what the loader says when it means none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import SpecError
from lab.faults import KINDS
from lab.loading import load_experiment
from lab.plan import Deployment, deploy_topology
from lab.topology import Link, Service, Topology

EXPERIMENT = """\
question: Who is meant?
phase: instrument
topology: shop
load: {rate: 1/s, requests: [{get: /}]}
timeline: {baseline: 4s, fault: 4s}
faults:
  - kill: {service: "TARGET"}
designs:
  one: {holds: [errors < 1%], why: x}
  two: {holds: [errors < 1%], why: x}
lesson: none
"""


@pytest.fixture
def deployment() -> Deployment:
    """Two apps and a database."""
    services = {"app": Service("app", replicas=2), "db": Service("db")}
    return deploy_topology(Topology("t", services, (), Link("client", "app", 80)))


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("app", ["app-1", "app-2"]),
        ("app-2", ["app-2"]),
        ("app-*", ["app-1", "app-2"]),
        ("*-1", ["app-1", "db-1"]),
        ("d?", ["db-1"]),
        ("*", ["app-1", "app-2", "db-1"]),
        ("App", []),
        ("ap", []),
    ],
)
def test_targets(deployment: Deployment, target: str, meant: list[str]) -> None:
    """A service, a replica, or a pattern of either."""
    fault = KINDS["kill"].model_validate({"service": target})
    assert [name.partition("/")[2] for name in fault.targets(deployment)] == meant


@pytest.mark.parametrize("target", ["inventory", "inv*", "*-1"])
def test_a_pattern_that_means_something_loads(tmp_path: Path, target: str) -> None:
    """In a file, against a real topology."""
    file = tmp_path / "who.yaml"
    file.write_text(EXPERIMENT.replace("TARGET", target))
    assert load_experiment(file, KINDS).faults[0].fault.service == target


@pytest.mark.parametrize("target", ["inv-*", "client", "cl*"])
def test_one_that_means_nothing_is_a_mistake(tmp_path: Path, target: str) -> None:
    """The load driver is no service that could be killed."""
    file = tmp_path / "who.yaml"
    file.write_text(EXPERIMENT.replace("TARGET", target))
    with pytest.raises(SpecError, match="there is no service"):
        load_experiment(file, KINDS)
