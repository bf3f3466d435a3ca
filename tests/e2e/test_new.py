"""`lab new`: what it writes is valid, runs at once, and comes out as it predicts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.support import PROJECT, lab


def project(folder: Path) -> Path:
    """An empty project of somebody's own."""
    (folder / "topologies").mkdir()
    return folder


def result_of(folder: Path, name: str) -> dict[str, object]:
    """What the last run of an experiment says."""
    found = json.loads((folder / "runs" / name / "latest" / "result.json").read_text())
    return dict(found)


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("local", marks=pytest.mark.local),
        pytest.param("docker", marks=pytest.mark.docker),
    ],
)
def test_from_nothing_to_a_verdict_in_three_commands(tmp_path: Path, engine: str) -> None:
    """A topology, an experiment on it, a run: each command is the one that the last one names."""
    here = project(tmp_path)
    made = lab("new", "topology", "visits", cwd=here)
    assert made.returncode == 0, made.stderr
    assert " new experiment break-visits --topology visits" in made.stdout
    made = lab("new", "experiment", "break-visits", "--topology", "visits", cwd=here)
    assert made.returncode == 0, made.stderr
    assert " run break-visits" in made.stdout
    finished = lab("run", "break-visits", "--engine", engine, cwd=here)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    result = result_of(here, "break-visits")
    assert result["verdict"] == "as predicted"


@pytest.mark.parametrize(
    ("topology", "link"),
    [
        ("url-shortener", "app -> db"),
        ("url-shortener/replicated", "app -> cache"),
        ("shop", "client -> app"),
        ("slots", "client -> app"),
    ],
)
def test_an_experiment_on_any_topology_is_valid(tmp_path: Path, topology: str, link: str) -> None:
    """With its own requests, and the link that was asked for; checked as any other file is."""
    here = tmp_path
    for name in ("topologies", "experiments"):
        subprocess.run(["cp", "-r", str(PROJECT / name), str(here)], check=True)
    made = lab("new", "experiment", "mine", "--topology", topology, "--link", link, cwd=here)
    assert made.returncode == 0, made.stderr
    text = (here / "experiments" / "mine.yaml").read_text()
    assert f"latency: {{link: {link}, delay: 200ms, jitter: 150ms}}" in text
    planned = lab("plan", "mine", cwd=here)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert f"latency 200 ms ± 150 ms on {link}" in planned.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experimint", "a"], "there are: experiment, topology"),
        (["experiment", "A b"], "small letters"),
        (["experiment", "a", "--topology", "shob"], "did you mean `shop`?"),
        (["experiment", "a", "--topology", "shop", "--link", "app -> inventry"], "inventory"),
        (["topology", "shop"], "is there already"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(words: list[str], said: str) -> None:
    """Exit code 2, the word that was meant, and not one file."""
    before = sorted(PROJECT.glob("*/*"))
    finished = lab("new", *words)
    assert finished.returncode == 2
    assert said in finished.stderr
    assert "Traceback" not in finished.stderr
    assert sorted(PROJECT.glob("*/*")) == before
