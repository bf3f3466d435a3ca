"""Which link ends a partition cuts, and which way; what is wrong with one that is none."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lab.faults.partition import Partition
from lab.loading.checks import Targets
from lab.plan import Deployment, deploy_topology
from lab.topology import Link, Service, Topology


def topology() -> Topology:
    """`client -> app -> db`, two apps that also call each other and the cache."""
    services = {
        "app": Service("app", image="x", replicas=2),
        "db": Service("db", image="x", replicas=2),
        "cache": Service("cache", image="x"),
    }
    links = (Link("app", "app", 8000), Link("app", "db", 5432), Link("app", "cache", 6379))
    return Topology("shop", services, links, Link("client", "app", 8000))


@pytest.fixture
def deployment() -> Deployment:
    return deploy_topology(topology())


def cuts(deployment: Deployment, **settings: Any) -> set[str]:
    """What is cut, as `app-1 -> db-1`, with the way in front when it is one."""
    found = Partition.model_validate(settings).cuts(deployment)
    names = {name: name.removeprefix("shop/").partition(":")[0] for name in found}
    return {
        names[name] if way == "both" else f"{way} {names[name]}" for name, (_, way) in found.items()
    }


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"between": ["app-1", "db-2"]}, {"app-1 -> db-2"}),
        ({"between": ["db-*", "app-1"]}, {"app-1 -> db-1", "app-1 -> db-2"}),
        (
            {"between": ["app", "db-1"], "one_way": True},
            {"upstream app-1 -> db-1", "upstream app-2 -> db-1"},
        ),
        ({"between": ["db-1", "app-2"], "one_way": True}, {"downstream app-2 -> db-1"}),
        (
            {"between": ["app-1", "app-2"], "one_way": True},
            {"upstream app-1 -> app-2", "downstream app-2 -> app-1"},
        ),
        ({"between": ["client", "app-1"]}, {"client -> app-1"}),
        (
            {"groups": [["app-1", "db-1"], ["app-2", "db-1"]]},
            {"app-1 -> app-2", "app-2 -> app-1"},
        ),
        (
            {"groups": [["client", "app-1", "db"], ["app-2"]]},
            {"client -> app-2", "app-1 -> app-2", "app-2 -> app-1", "app-2 -> db-1"}
            | {"app-2 -> db-2"},
        ),
        ({"isolate": "db-1"}, {"app-1 -> db-1", "app-2 -> db-1"}),
        (
            {"isolate": "app-1"},
            {"app-1 -> app-2", "app-2 -> app-1", "app-1 -> db-1", "app-1 -> db-2"}
            | {"app-1 -> cache-1"},
        ),
        (
            {"isolate": "app", "also_client": True},
            {f"client -> app-{n}" for n in (1, 2)}
            | {f"app-{n} -> {server}" for n in (1, 2) for server in ("db-1", "db-2", "cache-1")},
        ),
        ({"ring": ["app-1", "db-1", "cache", "db-2"]}, {"app-1 -> cache-1"}),
        ({"ring": ["client", "app-1", "db-1", "app-2"]}, {"app-1 -> app-2", "app-2 -> app-1"}),
        ({"between": ["db-1", "db-2"]}, set()),
        ({"isolate": "c*"}, {"app-1 -> cache-1", "app-2 -> cache-1"}),
        ({"isolate": "cach?", "also_client": True}, {"app-1 -> cache-1", "app-2 -> cache-1"}),
    ],
    ids=str,
)
def test_what_is_cut(deployment: Deployment, settings: dict[str, Any], wanted: set[str]) -> None:
    """By hand, for each shape; a pattern never means the client."""
    assert cuts(deployment, **settings) == wanted


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "one of `between`, `groups`, `isolate` and `ring`"),
        ({"between": ["a", "b"], "isolate": "a"}, "one of `between`"),
        ({"between": ["a", "a"]}, "different sides"),
        ({"between": ["a"]}, "at least 2"),
        ({"isolate": "a", "one_way": True}, "`one_way` goes with `between`"),
        ({"between": ["a", "b"], "also_client": True}, "list `client`"),
        ({"ring": ["a", "b", "c"]}, "at least 4"),
        ({"groups": [["a", "b"]]}, "at least 2"),
        ({"groups": [["a"], []]}, "at least 1"),
    ],
    ids=str,
)
def test_what_is_no_partition(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Partition.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "mistakes"),
    [
        ({"between": ["app-*", "db"]}, []),
        ({"between": ["ap-*", "db"]}, [("between", "there is no service `ap-*`")]),
        ({"between": ["cache", "db-*"]}, [("between", "nothing connects `cache` and `db-*`")]),
        ({"groups": [["app-1", "client"], ["app-3"]]}, [("groups", "there is no service `app-3`")]),
        ({"groups": [["db", "app"], ["db", "cach"]]}, [("groups", "there is no service `cach`")]),
        ({"groups": [["db-1"], ["db-2"]]}, [("groups", "no link is cut by that")]),
        ({"isolate": "bd-1"}, [("isolate", "there is no service `bd-1`")]),
        ({"isolate": "db-1"}, []),
        ({"ring": ["app-1", "app-2", "db", "x"]}, [("ring", "there is no service `x`")]),
    ],
    ids=str,
)
def test_names_that_are_not_there(
    settings: dict[str, Any], mistakes: list[tuple[str, str]]
) -> None:
    """Told when the file is read, and not by a run that proves nothing."""
    found = Targets([(topology(), {})]).mistakes(Partition.model_validate(settings))
    told = [(field, mistake.message) for field, mistake in found]
    assert len(told) == len(mistakes)
    for (field, message), (wanted, start) in zip(told, mistakes, strict=True):
        assert field == wanted
        assert message.startswith(start)


def test_each_shape_says_what_it_is() -> None:
    """In the words of the report."""
    for settings, text in (
        ({"between": ["a", "b"]}, "partition of a | b"),
        ({"between": ["a", "b"], "one_way": True}, "partition from a to b, one way"),
        ({"groups": [["a", "b"], ["b", "c"]]}, "partition into a + b | b + c"),
        ({"isolate": "a"}, "isolation of a"),
        ({"isolate": "a", "also_client": True}, "isolation of a (client too)"),
        ({"ring": ["a", "b", "c", "d"]}, "ring of a, b, c, d"),
    ):
        assert Partition.model_validate(settings).describe() == text
