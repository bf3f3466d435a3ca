"""From an experiment to what a driver is told."""

from typing import Any

import pytest

from lab.experiment import Design, Experiment, Load, Phase
from lab.load.settings import DriverSpec
from lab.load.spec import driver_spec
from lab.topology import Link, Service, Topology

ENTRY = Link("client", "app", 8000)
TOPOLOGY = Topology("shop", {"app": Service("app", image="app")}, (), ENTRY)
REQUEST = {"name": "item", "path": "/item/{key}", "keys": {"kind": "zipf", "n": 1000}}


def experiment(**load: Any) -> Experiment:
    shape = Load.model_validate({"requests": [REQUEST], **load})
    design = Design(topology=TOPOLOGY, load=shape, holds=("p99 < 1s",))
    return Experiment(
        name="x",
        question="?",
        phase="internet",
        designs={"a": design, "b": design},
        phases=(Phase(name="baseline", start_s=0, end_s=20),),
        lesson="",
    )


def test_a_spec_is_what_a_driver_can_read() -> None:
    """Both sides of the pipe agree on every field."""
    told = driver_spec(experiment(rate="60/s", timeout="250ms"), "a", 5)
    read = DriverSpec.read(told)
    assert (read.host, read.port, read.seed, read.timeout_s) == ("app", 8000, 5, 0.25)
    assert read.requests[0].keys is not None
    assert (read.requests[0].name, read.requests[0].keys.n) == ("item", 1000)
    assert read.keep_alive


def test_a_rate_is_one_stage_as_long_as_the_timeline() -> None:
    """60/s for 20 s."""
    stages = driver_spec(experiment(rate="60/s"), "a", 1)["stages"]
    assert stages == [{"from_per_s": 60.0, "to_per_s": 60.0, "for_s": 20.0}]


def test_stages_shorter_than_the_timeline_go_on_at_their_last_rate() -> None:
    """A ramp to 100/s over 5 s is followed by 15 s at 100/s."""
    ramp = [{"rate": "10/s", "to": "100/s", "for": "5s"}]
    assert driver_spec(experiment(stages=ramp), "a", 1)["stages"] == [
        {"from_per_s": 10.0, "to_per_s": 100.0, "for_s": 5.0},
        {"from_per_s": 100.0, "to_per_s": 100.0, "for_s": 15.0},
    ]


def test_a_closed_loop_has_users_and_no_stages() -> None:
    """Its rate is whatever the answers allow."""
    told = driver_spec(experiment(loop="closed", users=2), "b", 1)
    assert (told["loop"], told["users"], told["stages"]) == ("closed", 2, [])
    assert DriverSpec.read(told).users == 2


def test_the_retry_policy_is_handed_on() -> None:
    """Shares and seconds, as the driver counts them."""
    policy = {"attempts": 4, "budget": "10%", "backoff": "50ms", "jitter": "full"}
    told = driver_spec(experiment(rate="60/s", retry=policy), "a", 1)
    assert told["retry"] == {
        "attempts": 4,
        "budget": pytest.approx(0.1),
        "backoff_s": pytest.approx(0.05),
        "backoff_max_s": 10.0,
        "jitter": "full",
    }


def test_designs_with_one_load_are_told_the_same_but_for_their_name() -> None:
    """So they get the same arrivals, keys and mix."""
    one, other = (driver_spec(experiment(rate="60/s"), name, 3) for name in ("a", "b"))
    assert {**one, "design": ""} == {**other, "design": ""}
