"""A good file with small random damage is loaded or refused; nothing else ever happens."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lab.errors import SpecError, UsageError
from lab.experiment import Experiment
from lab.loading import load_experiment, load_topology
from lab.topology import Topology

from .loading_support import FIXTURES, KINDS

GOOD = (FIXTURES / "experiments" / "good.yaml").read_text("utf-8")
COMPOSE = (FIXTURES / "topologies" / "shop" / "compose.yaml").read_text("utf-8")
WORDS = sorted(set(re.findall(r"[\w.%/-]+|[^\w\s]", GOOD + COMPOSE)))
SPLINTERS = st.sampled_from(
    [*WORDS, "", " ", "\n", "\t", "null", "~", "{}", "[]", "- ", "? ", "&a ", "*a", "<<: ", "!x ",
     "|", ">", "'", '"', "#", "\x00", "\ufeff", "é", "\u2028", "nan", "inf", "-1", "1e999", "0x1f",
     '"\\0"', '"\\ud800"', '"./\\0:/x"', "./" + "n" * 300, '"\\e[31m"']
)  # fmt: skip
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), SPLINTERS), min_size=1, max_size=4)


def _damaged(text: str, damage: list[tuple[float, int, str]]) -> str:
    for place, length, splinter in damage:
        start = int(place * len(text))
        text = text[:start] + splinter + text[start + length :]
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a good topology beside which damaged files are put."""
    root = tmp_path_factory.mktemp("project")
    (root / "topologies").symlink_to(FIXTURES / "topologies")
    (root / "app").symlink_to(FIXTURES / "topologies" / "shop" / "app")
    (root / "seed.sql").symlink_to(FIXTURES / "topologies" / "shop" / "seed.sql")
    return root


def _check_problems(error: SpecError, text: str) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.width >= 1
        assert problem.message
        assert problem.line <= len(text) + 1
        assert str(problem)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damage=DAMAGE)
def test_damaged_experiments(damage: list[tuple[float, int, str]], folder: Path):
    """An experiment file with splinters in it."""
    text = _damaged(GOOD, damage)
    path = folder / "damaged.yaml"
    path.write_text(text, "utf-8")
    try:
        assert isinstance(load_experiment(path, KINDS), Experiment)
    except SpecError as error:
        _check_problems(error, text)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damage=DAMAGE)
def test_damaged_topologies(damage: list[tuple[float, int, str]], folder: Path):
    """A Compose file with splinters in it."""
    text = _damaged(COMPOSE, damage)
    path = folder / "compose.yaml"
    path.write_text(text, "utf-8")
    try:
        assert isinstance(load_topology(path, "damaged"), Topology)
    except SpecError as error:
        _check_problems(error, text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SPLINTERS.filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SPLINTERS, inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a tree with every key or index into it."""
    if isinstance(value, dict):
        return [p for key in value for p in ((value, key), *_places(value[key]))]
    if isinstance(value, list):
        return [p for i in range(len(value)) for p in ((value, i), *_places(value[i]))]
    return []


def _swapped(text: str, swaps: list[tuple[float, str, Any]]) -> str:
    """The file with some values replaced, removed or renamed; JSON is YAML."""
    tree = YAML(typ="safe", pure=True).load(text)
    for place, what, value in swaps:
        places = _places(tree)
        if not places:
            break
        container, key = places[int(place * (len(places) - 1))]
        if what == "swap":
            container[key] = copy.deepcopy(value)
        elif what == "remove" or isinstance(container, list):
            del container[key]
        else:
            container[f"{key}{str(value)[:2]}"] = container.pop(key)
    return json.dumps(tree)


SWAPS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["swap", "remove", "rename"]), VALUES),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(swaps=SWAPS)
def test_swapped_values_of_experiments(swaps: list[tuple[float, str, Any]], folder: Path):
    """An experiment file of good YAML, with other values than it should have."""
    path = folder / "swapped.yaml"
    path.write_text(_swapped(GOOD, swaps), "utf-8")
    try:
        assert isinstance(load_experiment(path, KINDS), Experiment)
    except SpecError as error:
        _check_problems(error, path.read_text("utf-8"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(swaps=SWAPS)
def test_swapped_values_of_topologies(swaps: list[tuple[float, str, Any]], folder: Path):
    """A Compose file of good YAML, with other values than it should have."""
    path = folder / "compose.yaml"
    path.write_text(_swapped(COMPOSE, swaps), "utf-8")
    try:
        assert isinstance(load_topology(path, "swapped"), Topology)
    except SpecError as error:
        _check_problems(error, path.read_text("utf-8"))


@settings(max_examples=20, deadline=None)
@given(reference=st.text(max_size=12))
def test_any_topology_reference(reference: str, folder: Path):
    """Whatever stands behind `topology:` is found or is a mistake."""
    path = folder / "reference.yaml"
    quoted = "'" + reference.replace("'", "''") + "'"
    path.write_text(GOOD.replace("topology: shop", f"topology: {quoted}"), "utf-8", newline="")
    with pytest.raises((SpecError, UsageError)):
        load_experiment(path, KINDS)
