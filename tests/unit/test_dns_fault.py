"""The `dns` fault: what it takes and says, and how its services are prepared for it."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lab.engines import Answer
from lab.engines.docker.containers import instance_config
from lab.engines.docker.layout import PROXY, lay_out, own_parts
from lab.engines.docker.naming import zone_of
from lab.errors import SpecError
from lab.faults import KINDS
from lab.faults.dns import Dns
from lab.loading import load_experiment
from lab.plan import deploy_topology
from lab.topology import Link, Service, Topology

PROJECT = Path(__file__).resolve().parents[2]


def fault(**settings: Any) -> Dns:
    return Dns.model_validate({"service": "app", "host": "db", **settings})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"answer": "servfail"}, "SERVFAIL when app looks up db"),
        ({"answer": "timeout"}, "no answer when app looks up db"),
        (
            {"answer": "stale", "delay": "2s"},
            "an old address after 2 s of waiting when app looks up db",
        ),
        ({"delay": "300ms"}, "300 ms of waiting when app looks up db"),
    ],
)
def test_it_says_what_is_broken(settings, text):
    assert fault(**settings).describe() == text


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "has an `answer` or a `delay`"),
        ({"answer": "timeout", "delay": "1s"}, "none can be late"),
        ({"delay": "0s"}, "longer than nothing"),
        ({"answer": "refused"}, "nxdomain"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, why):
    with pytest.raises(ValidationError, match=why):
        fault(**settings)


RIGHT = Answer("NOERROR", ("198.18.7.129",), is_right=True, seconds=0.001)


@pytest.mark.parametrize(
    ("settings", "answer", "is_wrong"),
    [
        ({"answer": "servfail"}, RIGHT, False),
        ({"answer": "servfail"}, Answer("SERVFAIL", (), False, 0.001), True),
        ({"answer": "servfail"}, Answer("NXDOMAIN", (), False, 0.001), False),
        ({"answer": "servfail", "delay": "1s"}, Answer("SERVFAIL", (), False, 0.001), False),
        ({"answer": "timeout"}, Answer(None, (), False, 0.4), True),
        ({"answer": "stale"}, Answer("NOERROR", ("198.18.7.127",), False, 0.001), True),
        ({"answer": "stale"}, Answer("NOERROR", (), False, 0.001), False),
        ({"delay": "200ms"}, RIGHT, False),
        ({"delay": "200ms"}, Answer("NOERROR", (), False, 0.201), True),
    ],
)
def test_what_counts_as_an_effect(settings, answer, is_wrong):
    assert fault(**settings)._is_wrong(answer) == is_wrong


def test_who_looks_names_up_has_them_in_no_file():
    """And its resolver asks at the proxy's address, where only its own names are known."""
    services = {
        "app": Service("app", image="app"),
        "db": Service("db", image="db", replicas=2),
        "queue": Service("queue", image="queue"),
    }
    topology = Topology("shop", services, (Link("app", "db", 5432),), Link("client", "app", 80))
    deployment = deploy_topology(topology, [fault(answer="servfail")])
    assert deployment.resolving == {"shop/app-1"}
    own = own_parts(deployment, drivers=True)
    layout = lay_out("1f0c2a9b", deployment, IPv4Network("198.18.7.0/24"), own)
    app, queue = deployment.instance("shop/app-1"), deployment.instance("shop/queue-1")
    config = instance_config(app, "i", deployment, layout, "net", {})
    # Docker would answer for the hostname `app-1` by itself, past the links.
    assert config["Hostname"] == "lab-1f0c2a9b-shop-app-1"
    config = config["HostConfig"]
    assert "ExtraHosts" not in config
    assert config["Dns"] == [str(layout.containers[PROXY])]
    assert config["DnsSearch"] == ["."]
    other = instance_config(queue, "i", deployment, layout, "net", {})["HostConfig"]
    assert other["ExtraHosts"]
    assert "Dns" not in other
    links = {
        end.server.host: str(layout.links[end.name]) for end in deployment.ends_of("app -> db")
    }
    assert zone_of(app, deployment, layout) == {
        "db": [links["db-1"], links["db-2"]],
        "db-1": [links["db-1"]],
        "db-2": [links["db-2"]],
        "queue": [str(layout.containers["shop/queue-1"])],
        "queue-1": [str(layout.containers["shop/queue-1"])],
    }


EXPERIMENT = """
question: What does a name cost?
phase: reliability
topology: url-shortener
load: {rate: 50/s, requests: [{get: /, name: front}]}
timeline: {baseline: 8s, fault: 12s, recovery: 15s}
faults:
  - dns: {service: app, host: bd, answer: servfail}
designs:
  naive: {breaks: [p99 < 1s during fault]}
  better: {holds: [p99 < 1s during fault]}
lesson: None.
"""


def test_a_name_that_nobody_has_is_refused_in_the_file(tmp_path):
    """With those that somebody has."""
    (tmp_path / "topologies").symlink_to(PROJECT / "topologies")
    file = tmp_path / "one.yaml"
    file.write_text(EXPERIMENT)
    with pytest.raises(SpecError) as caught:
        load_experiment(file, KINDS)
    (problem,) = caught.value.problems
    assert problem.message == "`bd` is no name that app-1 can look up"
    assert problem.hint == "there are: db, db-1"
