"""Conditions that faults wait for: what they mean, and what the loader makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lab.conditions import Condition, parse_condition
from lab.errors import SpecError
from lab.experiment import Experiment, ScheduledFault
from lab.faults import KINDS as REAL_KINDS
from lab.loading import load_experiment

from .loading_support import FIXTURES, KINDS, Pause

FILE = """
question: Which one holds?
phase: reliability
topology: {topology}
load: {{rate: 50/s, requests: [{{get: /, name: front}}], timeout: 1s}}
timeline: {{baseline: 8s, fault: 12s, recovery: 15s}}
designs:
  naive: {{breaks: [p99 < 1s during {claim}]}}
  better: {{holds: [p99 < 1s during fault]}}
faults:
  - pause: {{service: app-1, {timing}}}
lesson: Count the round trips.
"""
SHOP = FIXTURES / "topologies" / "shop" / "compose.yaml"


def loaded(tmp_path: Path, timing: str, claim: str = "fault") -> Experiment:
    """An experiment with one fault of this timing."""
    file = tmp_path / "waits.yaml"
    file.write_text(FILE.format(topology=SHOP, timing=timing, claim=claim))
    return load_experiment(file, KINDS)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("worker.locked", Condition("worker.locked", "worker", "locked")),
        ("worker-1 . locked", Condition("worker-1 . locked", "worker-1", "locked")),
        (
            "app_pool_wait > 3",
            Condition("app_pool_wait > 3", metric="app_pool_wait", operator=">", value=3),
        ),
        (
            "redis.masters == 1",
            Condition("redis.masters == 1", "redis", metric="masters", value=1),
        ),
        (
            'max(app-1.requests_total{route="/x",code="200"}) <= -0.5',
            Condition(
                'max(app-1.requests_total{route="/x",code="200"}) <= -0.5',
                "app-1",
                metric="requests_total",
                selector=(("route", "/x"), ("code", "200")),
                reduce="max",
                operator="<=",
                value=-0.5,
            ),
        ),
        ("sum( a:b )<1", Condition("sum( a:b )<1", metric="a:b", operator="<", value=1)),
    ],
)
def test_what_a_condition_says(text: str, condition: Condition):
    """Events and comparisons, with and without a service."""
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    "text",
    ["", "worker", "worker.", ".locked", "a.b.c", "a b", "x >", "> 3", "max(x > 3", "x) > 3",
     "avg(x) > 3", "x > 3s", "x > nan", "x ~ 3", "x{a} > 3", "x and y > 3", "x > 3 and y > 2"],
)  # fmt: skip
def test_what_is_none(text: str):
    """The language is closed: there is no second condition, no unit, no other function."""
    with pytest.raises(ValueError, match="write"):
        parse_condition(text)


def test_the_word_before_the_dot_decides_what_is_waited_for():
    """Stages belong to faults, `begins` to phases, everything else is a service's own word."""
    names: dict[str, Any] = {"faults": ["cut"], "phases": ["recovery"]}
    sorts = {
        "cut.bit": "stage",
        "cut.made": "event",
        "recovery.begins": "phase",
        "worker.bit": "event",
        "cut.total > 3": "metric",
    }
    assert {text: parse_condition(text).sort(**names) for text in sorts} == sorts


@pytest.mark.parametrize(
    ("timing", "at_s", "within_s", "for_s", "until_s"),
    [
        ("when: app.locked", 8, 12, 12, 20),
        ("when: app.locked, for: 5s", 8, 12, 5, 25),
        ("when: app.locked, within: 4s, for: 5s", 8, 4, 5, 17),
        ("when: app.locked, within: 4s", 8, 4, 12, 20),
        ("during: recovery, when: app.locked, within: 3s, for: 2s", 20, 3, 2, 25),
        ("until: app.locked", 8, 0, 12, 20),
        ("until: app.locked, for: 15s", 8, 0, 15, 23),
        ("at: 9s, until: app.locked, for: 5s", 9, 0, 5, 14),
        ("at: 9s, for: 5s", 9, 0, 5, 14),
    ],
)
def test_every_fault_has_a_latest_end(tmp_path, timing, at_s, within_s, for_s, until_s):
    """Whatever it waits for, it starts in time or never, and its own time ends it."""
    (fault,) = loaded(tmp_path, timing).faults
    found = (fault.at_s, fault.within_s, fault.for_s, fault.until_s)
    assert found == (at_s, within_s, for_s, until_s)
    assert fault.triggered == ("app.locked" in timing)


def test_a_design_that_is_broken_has_what_the_fault_waits_for(tmp_path):
    """Otherwise the run would take its time and prove nothing."""
    for name, services in (("alone", "app"), ("pair", "app worker")):
        lines = "".join(f"  {one}: {{image: {one}}}\n" for one in services.split())
        metrics = ", ".join(f"{one}: 8000" for one in services.split())
        lab = f"x-lab: {{entry: 'app:8000', links: [], metrics: {{{metrics}}}}}\n"
        (tmp_path / f"{name}.yaml").write_text(f"services:\n{lines}{lab}")
    text = FILE.format(topology="pair.yaml", timing="when: worker.locked", claim="fault")
    file = tmp_path / "waits.yaml"
    file.write_text(text)
    assert load_experiment(file, REAL_KINDS)
    file.write_text(text.replace("better: {", "better: {topology: alone.yaml, "))
    with pytest.raises(SpecError) as caught:
        load_experiment(file, REAL_KINDS)
    said = [problem.message for problem in caught.value.problems]
    assert said == ["design `better` has no `worker`, so it would wait for ever there"]


def test_it_lasts_its_time_from_when_it_started():
    """`for` counts from the injection; the end of a phase stays where it is."""
    own = ScheduledFault(fault=Pause(service="app"), at_s=8, for_s=5, name="x")
    assert own.end_s(8) == 13
    waits = own.model_copy(update={"when": parse_condition("app.locked"), "within_s": 4.0})
    assert waits.end_s(10) == 15
    assert waits.model_copy(update={"last_s": 14.0}).end_s(10) == 14


def test_a_fault_can_be_built_in_python_and_read_back_from_its_plan():
    """Conditions are texts there, too, and JSON holds all of them."""
    fault = ScheduledFault(
        fault=None, at_s=8, for_s=5, name="x", when="app.locked", within_s=2, until="x_total > 3"
    )
    assert fault.when == parse_condition("app.locked")
    body = json.loads(fault.model_dump_json())
    assert ScheduledFault.model_validate(body) == fault
    for wrong in ({"when": "app.locked"}, {"within_s": 2.0}):
        with pytest.raises(ValidationError, match="within_s"):
            ScheduledFault(fault=None, at_s=8, for_s=5, name="x", **wrong)


def test_a_claim_may_look_where_nobody_knows_yet(tmp_path):
    """Moments of a fault with a condition are known after the run; it must be long enough."""
    timing = "when: app.locked, for: 5s, name: lock"
    assert loaded(tmp_path, timing, "lock").faults[0].name == "lock"
    file = FILE.format(topology=SHOP, timing=timing, claim="fault").replace(
        "during fault]}\n  better", "from lock.end+8s to lock.end+14s]}\n  better"
    )
    (tmp_path / "later.yaml").write_text(file)
    assert load_experiment(tmp_path / "later.yaml", KINDS)
    with pytest.raises(Exception, match=r"lasts 1\.5 s; nothing is left"):
        loaded(tmp_path, "when: app.locked, for: 1.5s, name: lock", "lock")
