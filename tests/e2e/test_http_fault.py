"""Single requests fail on a link of a real experiment, from the command line."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.support import FILES, lab, left_by


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("local", marks=pytest.mark.local),
    ],
)
def test_one_call_in_five_fails(engine, tmp_path):
    """As many as were meant to, of those that were meant; and then none, and nothing is left."""
    file = str(FILES / "bad-inventory.yaml")
    finished = lab("run", file, "--runs", str(tmp_path), "--engine", engine)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = json.loads((tmp_path / "bad-inventory" / "latest" / "result.json").read_text())
    assert result["verdict"] == "as predicted"
    (fault,) = result["faults"]
    assert fault["bit"]
    assert fault["healed"]
    assert fault["before"].startswith("200 after")
    assert fault["during"].startswith("503 after")
    counted = re.fullmatch(r"200 after .*; (\d+) of (\d+) such requests struck, .*", fault["after"])
    assert counted
    struck, matched = map(int, counted.groups())
    # Two designs for 8 s, at 40 purchases/s and more with retries: about 700 requests.
    assert 400 < matched < 1200
    assert 0.1 < struck / matched < 0.3
    assert left_by(engine, result["run_id"]) == []
