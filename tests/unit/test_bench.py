"""The benchmarks' switch and where their numbers go."""

from __future__ import annotations

import json

from tests.bench import __main__ as switch
from tests.bench.results import VARIABLE, keep


def test_every_benchmark_can_be_picked(capsys):
    """By the name of its module; another name is a mistake that lists them."""
    assert {"driver", "proxy", "checkers"} <= set(switch.names())
    assert switch.main(["nope"]) == 2
    assert "no benchmark nope; there are: driver, proxy, " in capsys.readouterr().out


def test_numbers_are_kept_where_asked(tmp_path, monkeypatch):
    """Several benchmarks add to one file; without a file nothing is written."""
    keep({"a.b": 1.0})
    monkeypatch.setenv(VARIABLE, str(tmp_path / "numbers.json"))
    keep({"driver.x": 1.23456789, "proxy.y": 2})
    keep({"proxy.y": 3})
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers == {"driver.x": 1.23457, "proxy.y": 3.0}
