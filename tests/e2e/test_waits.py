"""Faults that wait for what happens, in whole runs: an event, a stage, a metric, a failpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.support import FILES, lab, left_by

WAITS = FILES / "waits.yaml"

ENGINES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("local", marks=pytest.mark.local),
]


def result_of(runs: Any, name: str = "waits") -> dict[str, Any]:
    """What the latest run found."""
    text: str = (runs / name / "latest" / "result.json").read_text()
    return dict(json.loads(text))


@pytest.mark.parametrize("engine", ENGINES)
def test_faults_start_and_end_by_what_happens_in_each_design(engine, tmp_path):
    """The design with more load gets to the number first; both are broken at their own moments."""
    finished = lab("run", str(WAITS), "--engine", engine, "--runs", str(tmp_path))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = result_of(tmp_path)
    faults = {(fault["name"], fault["design"]): fault for fault in result["faults"]}
    assert set(faults) == {
        ("crash", ""),
        *((name, design) for name in ("slow", "freeze") for design in ("slower", "faster")),
    }
    assert all(fault["bit"] and fault["healed"] for fault in faults.values())
    for design in ("slower", "faster"):
        slow, freeze = faults["slow", design], faults["freeze", design]
        assert slow["injected_s"] - faults["crash", ""]["gone_s"] < 0.1
        assert slow["started_by"] == "crash.gone"
        assert slow["ended_by"].startswith("app.http_server_requests_total > 560 (it was 5")
        assert freeze["started_by"] == f"inventory.reserving of {design}/inventory-1"
        late_s = freeze["injected_s"] - freeze["triggered_s"]
        print(f"{engine} {design}: event heard of to injection {late_s * 1000:.1f} ms")
        assert 13.0 <= freeze["triggered_s"] < 13.5
        assert late_s < 0.1
        assert freeze["healed_s"] - freeze["injected_s"] == pytest.approx(1.0, abs=0.3)
    ended_s = {design: faults["slow", design]["healed_s"] for design in ("slower", "faster")}
    assert 1.5 < ended_s["slower"] - ended_s["faster"] < 5  # 560 at 50/s and at 70/s: 3.2 s
    assert left_by(engine, result["run_id"]) == []
    assert lab("check", str(tmp_path / "waits" / "latest")).returncode == 0


@pytest.mark.local
def test_what_never_happens_makes_the_run_unknown_and_a_cap_does_not(tmp_path):
    """The reason says what was seen instead; a fault whose time is over is healed and reported."""
    text = WAITS.read_text().replace("when: inventory.reserving", "when: inventory.shipping")
    text = text.replace("_total > 560, for: 6s", "_total > 9999, for: 1s")
    file = tmp_path / "never.yaml"
    file.write_text(text)
    finished = lab("run", str(file), "--engine", "local", "--runs", str(tmp_path))
    assert finished.returncode == 3, finished.stdout + finished.stderr
    result = result_of(tmp_path, "never")
    unmet = {(g["name"], g["design"]): g["detail"] for g in result["guards"] if not g["met"]}
    assert set(unmet) == {("freeze bit", "slower"), ("freeze bit", "faster")}
    for detail in unmet.values():
        assert detail == (
            "`inventory.shipping` did not come true within 2 s: reported so far: request, reserving"
        )
    for fault in (fault for fault in result["faults"] if fault["name"] == "slow"):
        assert "its time was over" in fault["ended_by"]
        assert "last value" in fault["ended_by"]
        assert fault["healed"]


def test_the_plan_says_what_is_waited_for_and_for_how_long():
    """Nothing of it needs an engine."""
    planned = lab("plan", str(WAITS))
    assert planned.returncode == 0, planned.stderr
    assert (
        "when crash.gone within 5 s, until app.http_server_requests_total > 560, 6 s at most"
        in planned.stdout
    )
    assert "when inventory.reserving within 2 s, for 1 s" in planned.stdout
