"""Somebody else's project, in a folder of its own: a Compose file, a Dockerfile, an experiment."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.e2e.support import FILES, lab


@pytest.mark.local
def test_it_runs_where_it_stands(tmp_path):
    """From its own folder, with its own topology; the run lands beside it."""
    shutil.copytree(FILES / "own", tmp_path, dirs_exist_ok=True)
    finished = lab("run", "slow-cache.yaml", "--engine", "local", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    folder = tmp_path / "runs" / "slow-cache" / "latest"
    result = json.loads((folder / "result.json").read_text())
    assert result["verdict"] == "as predicted"
    assert (folder / "logs" / "a-web-1.log").exists()


@pytest.mark.local
def test_a_step_that_only_a_container_can_have_is_named(tmp_path):
    """With the file and the line, before anything starts."""
    shutil.copytree(FILES / "own", tmp_path, dirs_exist_ok=True)
    dockerfile = tmp_path / "topologies" / "mine" / "src" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("COPY", "RUN pip install flask\nCOPY"))
    finished = lab("run", "slow-cache.yaml", "--engine", "local", cwd=tmp_path)
    assert finished.returncode == 4, finished.stdout + finished.stderr
    assert f"{dockerfile}:3" in finished.stderr
    assert "RUN" in finished.stderr
    assert "Traceback" not in finished.stderr
