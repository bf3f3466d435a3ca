"""Runs on disk: `latest` is always there, and a run that is not is said with those that are."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lab import store
from lab.errors import UsageError

from . import records


def test_runs_that_end_at_once_leave_one_latest(tmp_path: Path):
    """Sixteen of them, and whoever looks meanwhile always finds one."""
    record = records.record()
    plain = record.experiment.model_copy(update={"faults": ()})
    record = replace(record, experiment=plain, faults=())
    folders = [store.new_run(tmp_path, "e")[1] for _ in range(16)]
    store.save(record, folders[0])
    with ThreadPoolExecutor(16) as pool:
        work = [pool.submit(store.save, record, folder) for folder in folders[1:]]
        while not all(one.done() for one in work):
            assert (tmp_path / "e" / "latest" / "result.json").exists()
        for one in work:
            one.result()
    assert (tmp_path / "e" / "latest").resolve() in folders
    left = [path.name for path in (tmp_path / "e").iterdir() if path.name.startswith(".")]
    assert left == []


def test_a_run_that_is_not_there_is_said_with_the_newest_that_are(tmp_path: Path):
    """So that nobody has to look through folders."""
    with pytest.raises(UsageError, match="no run `abc`") as caught:
        store.find_run(tmp_path, "abc")
    assert caught.value.remedy == "`lab run NAME` makes one"
    for name in ("20260101-000000-00000001", "20260102-000000-00000002"):
        (tmp_path / "e" / name).mkdir(parents=True)
        (tmp_path / "e" / name / "result.json").write_text("{}")
    (tmp_path / "e" / "latest").symlink_to("20260102-000000-00000002")
    with pytest.raises(UsageError) as caught:
        store.find_run(tmp_path, "abc")
    found = re.findall(r"\w+ \(e\)", caught.value.remedy or "")
    assert found == ["00000002 (e)", "00000001 (e)"]
