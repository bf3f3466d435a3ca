"""A name cannot be looked up in a real experiment, from the command line."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.support import FILES, lab, left_by

LOST_NAME = str(FILES / "lost-name.yaml")


@pytest.mark.docker
def test_a_lost_name_is_felt_when_connections_break(tmp_path):
    """Not before; the service's own look-ups are hit, and afterwards all is well."""
    finished = lab("run", LOST_NAME, "--runs", str(tmp_path), "--engine", "docker")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = json.loads((tmp_path / "lost-name" / "latest" / "result.json").read_text())
    assert result["verdict"] == "as predicted"
    fault = next(fault for fault in result["faults"] if fault["kind"] == "dns")
    assert fault["bit"]
    assert fault["healed"]
    assert fault["before"].startswith("right after")
    assert fault["during"].startswith("SERVFAIL after")
    counted = re.fullmatch(
        r"right after .*; app looked it up (\d+) times so far, (\d+) were hit", fault["after"]
    )
    assert counted
    asked, hit = map(int, counted.groups())
    assert asked >= hit >= 20
    assert left_by("docker", result["run_id"]) == []


@pytest.mark.local
def test_where_nobody_looks_names_up_it_is_refused(tmp_path):
    """With the reason, before any load."""
    finished = lab("run", LOST_NAME, "--runs", str(tmp_path), "--engine", "local")
    assert finished.returncode == 4, finished.stdout + finished.stderr
    assert "are not resolvable" in finished.stderr
    assert "ask no DNS" in finished.stderr
