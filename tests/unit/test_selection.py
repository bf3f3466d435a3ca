"""Targets that are no names: how they read, whom they may mean, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import SpecError
from lab.faults import KINDS
from lab.loading import load_experiment
from lab.plan import Deployment, deploy_topology
from lab.selection import Selection, parse_selection
from lab.topology import Link, Service, Topology

EXPERIMENT = """\
question: Who is meant?
phase: instrument
topology: shop
replicas: {inventory: 3}
load: {rate: 1/s, requests: [{get: /}]}
timeline: {baseline: 4s, fault: 4s}
faults:
FAULTS
designs:
  one: {holds: [errors < 1%], why: x}
  two: {holds: [errors < 1%], why: x, replicas: {app: 3}}
lesson: none
"""


def load(tmp_path: Path, *faults: str):
    """An experiment with these faults."""
    file = tmp_path / "who.yaml"
    file.write_text(EXPERIMENT.replace("FAULTS", "\n".join(f"  - {fault}" for fault in faults)))
    return load_experiment(file, KINDS)


def load_databases(tmp_path: Path, *faults: str):
    """An experiment with these faults on a topology whose `db` is PostgreSQL, three of them."""
    text = EXPERIMENT.replace("shop", "url-shortener").replace("inventory: 3", "db: 3")
    file = tmp_path / "who.yaml"
    file.write_text(text.replace("FAULTS", "\n".join(f"  - {fault}" for fault in faults)))
    return load_experiment(file, KINDS)


def mistakes(tmp_path: Path, *faults: str) -> list[str]:
    """What is wrong with them: `message -> hint`."""
    with pytest.raises(SpecError) as caught:
        load(tmp_path, *faults)
    return [f"{p.message} -> {p.hint}" if p.hint else p.message for p in caught.value.problems]


@pytest.fixture
def deployment() -> Deployment:
    """Three nodes that talk to each other, and a database."""
    services = {"node": Service("node", replicas=3), "db": Service("db")}
    links = (Link("node", "node", 80), Link("node", "db", 5432))
    return deploy_topology(Topology("t", services, links, Link("client", "node", 80)))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("one of app", Selection("one", "", "app")),
        ("2 of app-*", Selection("2", "", "app-*")),
        ("leader of etcd", Selection("", "leader", "etcd")),
        ("2 replica of db", Selection("2", "replica", "db")),
        ("one follower of etcd", Selection("one", "follower", "etcd")),
        ("minority of etcd", Selection("minority", "", "etcd")),
        ("app", None),
        ("db-*", None),
        ("of", None),
    ],
)
def test_how_a_selection_reads(text, meant):
    """[COUNT] [ROLE] of SERVICE; a word alone is a name."""
    assert parse_selection(text) == meant


@pytest.mark.parametrize(
    "text", ["of app", "0 of app", "one app", "the leader of etcd", "a of b c"]
)
def test_what_does_not_read(text):
    """Neither a name nor a selection."""
    with pytest.raises(ValueError, match=r"is no name: write .* leader of etcd"):
        parse_selection(text)


@pytest.mark.parametrize(
    ("count", "of", "size"),
    [("one", 3, 1), ("2", 3, 2), ("minority", 5, 2), ("majority", 5, 3), ("minority", 4, 1),
     ("majority", 4, 3), ("minority", 2, 0), ("", 4, 4)],
)  # fmt: skip
def test_how_many_that_is(count, of, size):
    """A minority and a majority are all together."""
    assert Selection(count, "", "x").size(of) == size


def test_until_it_is_made_a_selection_means_all_that_it_may_be(deployment):
    """So that nothing that looks ahead overlooks a target; afterwards it means just that."""
    pause = KINDS["pause"](service="leader of node")
    assert pause.targets(deployment) == ("t/node-1", "t/node-2", "t/node-3")
    bound = pause.bound({"leader of node": {"t/node-2"}})
    assert bound.targets(deployment) == ("t/node-2",)
    assert bound.text() == "pause of leader of node (= node-2)"
    assert pause.targets(deployment) == ("t/node-1", "t/node-2", "t/node-3")
    link = KINDS["latency"](link="one of node -> db", delay=1)
    assert len(link.targets(deployment)) == 3
    assert link.bound({"one of node": {"t/node-3"}}).targets(deployment) == (
        "t/node-3 -> db-1:5432",
    )


def test_isolating_one_of_many(deployment):
    """Any link may be cut until it is known who it is; then those of that one."""
    cut = KINDS["partition"](isolate="leader of node")
    assert len(cut.targets(deployment)) == 9
    bound = cut.bound({"leader of node": {"t/node-1"}})
    assert set(bound.targets(deployment)) == {
        "t/node-1 -> node-2:80",
        "t/node-1 -> node-3:80",
        "t/node-2 -> node-1:80",
        "t/node-3 -> node-1:80",
        "t/node-1 -> db-1:5432",
    }


def test_designs_may_mean_different_ones(deployment):
    """Then they are named with their design."""
    fault = KINDS["pause"](service="leader of node")
    both = fault.bound({"leader of node": {"a/node-1", "b/node-1"}})
    assert both.text() == "pause of leader of node (= node-1)"
    apart = fault.bound({"leader of node": {"a/node-1", "b/node-2"}})
    assert apart.text() == "pause of leader of node (= a/node-1, b/node-2)"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("kill: {service: leadr of app}", "nobody is `leadr` -> write leader of app"),
        (
            "kill: {service: king of app}",
            "nobody is `king` -> write one of follower, leader, master, primary, replica",
        ),
        ("kill: {service: leader of ap}", "there is no service `ap` -> did you mean `app`?"),
        (
            "kill: {service: 2 of app}",
            "`2 of app`: there is only 1 of them -> ask for fewer, or give it more `replicas`",
        ),
        (
            "kill: {service: minority of app}",
            (
                "`minority of app`: there is only 1 of them"
                " -> ask for fewer, or give it more `replicas`"
            ),
        ),
        (
            "latency: {link: one of inventory -> app, delay: 1s}",
            (
                "there is no link `one of inventory -> app`"
                " -> the links are: client -> app, app -> inventory"
            ),
        ),
        (
            "latency: {link: 'app -> one of inventory:1', delay: 1s}",
            "`app -> one of inventory` does not go to port 1 -> it goes to 8000",
        ),
        (
            "partition: {isolate: one of shops}",
            (
                "there is no service `shops` -> there are: app, app-1, inventory, inventory-1,"
                " inventory-2, inventory-3, app-2, app-3"
            ),
        ),
        (
            "partition: {between: [client, one of inventory]}",
            (
                "nothing connects `client` and `one of inventory`"
                " -> the links are: client -> app, app -> inventory"
            ),
        ),
    ],
)
def test_what_a_file_gets_wrong(tmp_path, fault, said):
    """With the nearest word, before anything runs."""
    assert mistakes(tmp_path, fault) == [said]


@pytest.mark.parametrize(
    "fault",
    [
        "kill: {service: one of inventory}",
        "kill: {service: 3 of inventory}",
        "latency: {link: app -> one of inventory, delay: 1s}",
        "latency: {link: client -> one of app, delay: 1s}",
        "partition: {between: [app, 2 of inventory]}",
        "partition: {groups: [[app, one of inventory], [majority of inventory]]}",
    ],
)
def test_what_loads(tmp_path, fault):
    """Wherever a name may stand."""
    assert load(tmp_path, fault).faults[0].fault.selections()


@pytest.mark.parametrize(
    "fault",
    [
        "kill: {service: primary of d*}",
        "kill: {service: one replica of db}",
        "latency: {link: app -> primary of db, delay: 1s}",
        "partition: {isolate: primary of db}",
    ],
)
def test_a_role_loads_where_somebody_can_have_it(tmp_path, fault):
    """PostgreSQL with its exporter says who is primary."""
    assert load_databases(tmp_path, fault).faults[0].fault.selections()


@pytest.mark.parametrize(
    ("fault", "place", "said"),
    [
        (
            "kill: {service: leader of app}",
            (8, 21),
            (
                "nobody of `app` can be leader"
                " -> no service can: it takes etcd with its client port under `metrics`"
            ),
        ),
        (
            "kill: {service: one primary of app}",
            (8, 21),
            "nobody of `app` can be primary -> write primary of db",
        ),
        (
            "latency: {link: leader of app -> db, delay: 1s}",
            (8, 21),
            (
                "nobody of `app` can be leader"
                " -> no service can: it takes etcd with its client port under `metrics`"
            ),
        ),
        (
            "partition: {groups: [[master of app], [db]]}",
            (8, 25),
            (
                "nobody of `app` can be master"
                " -> no service can: it takes Valkey or Redis with `metrics: {cache: redis}`"
            ),
        ),
    ],
)
def test_a_role_that_nobody_can_have_is_a_mistake_of_the_file(tmp_path, fault, place, said):
    """Once for all designs, with its place, and with who could where somebody could."""
    with pytest.raises(SpecError) as caught:
        load_databases(tmp_path, fault)
    (problem,) = caught.value.problems
    assert (f"{problem.message} -> {problem.hint}", problem.line) == (said, place[0])
    assert problem.column == place[1]


def test_overlaps_that_are_certain_are_refused_and_others_are_left_to_the_run(tmp_path):
    """One replica of all is among all; the leader now and one of the others may differ."""
    certain = mistakes(
        tmp_path, "pause: {service: inventory}", "pause: {service: one of inventory}"
    )
    assert certain == [
        (
            "`pause` is on inventory-1 at that time too, and healing one heals both"
            " -> let one begin after the other has ended"
        )
    ]
    load(tmp_path, "pause: {service: inventory-1}", "pause: {service: one of inventory}")
    load_databases(tmp_path, "pause: {service: primary of db}", "pause: {service: one of db}")
