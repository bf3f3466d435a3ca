"""Every experiment that ships ends as predicted, and stops doing so when its truth is bent.

Each test is one whole run of about a minute on real servers, from the command line.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.support import PROJECT, lab, left_by

EXPERIMENTS = sorted(path.stem for path in (PROJECT / "experiments").glob("*.yaml"))

pytestmark = pytest.mark.experiment


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("local", marks=pytest.mark.local),
    ],
)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_ends_as_predicted(name, engine, tmp_path):
    """Naive designs break, better ones hold and pay, and nothing is left behind.

    A run that proved nothing (unknown) may be repeated once; one that contradicts never.
    """
    again = ("--retry-unknown", "1")
    finished = lab("run", name, "--runs", str(tmp_path), "--engine", engine, *again)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    folder = tmp_path / name / "latest"
    result = json.loads((folder / "result.json").read_text())
    assert result["verdict"] == "as predicted"
    assert {claim["side"] for claim in result["claims"]} >= {"holds", "breaks", "pays"}
    assert all(fault["bit"] and fault["healed"] for fault in result["faults"])
    assert left_by(engine, result["run_id"]) == []
    for kept in (
        "plan.json",
        "history.jsonl",
        "windows.jsonl",
        "report.html",
        "summary.md",
        "chart.svg",
        "chart.png",
        "junit.xml",
    ):
        assert (folder / kept).stat().st_size > 0
    checked = lab("check", str(folder))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_without_its_fault_the_naive_design_does_not_break(tmp_path):
    """Take the fault out of the file and the prediction fails: the claims can tell."""
    text = (PROJECT / "experiments" / "reddit-hug.yaml").read_text()
    healthy = re.sub(r"\nfaults:\n(?:[ \t]+.*\n|\n)*", "\n", text)
    assert healthy != text
    file = tmp_path / "reddit-hug-healthy.yaml"
    file.write_text(healthy)
    finished = lab("run", str(file), "--runs", str(tmp_path))
    assert finished.returncode in (1, 3), finished.stdout + finished.stderr


def test_a_flipped_claim_is_not_as_predicted(tmp_path):
    """Say of a design that holds that it breaks: exit code 1, from the same numbers."""
    finished = lab("run", "honest-ruler", "--runs", str(tmp_path))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    folder = (tmp_path / "honest-ruler" / "latest").resolve()
    plan = json.loads((folder / "plan.json").read_text())
    for design in plan["designs"].values():
        design["holds"], design["breaks"] = design["breaks"], design["holds"]
    (folder / "plan.json").write_text(json.dumps(plan))
    flipped = lab("check", str(folder))
    assert flipped.returncode == 1, flipped.stdout + flipped.stderr
