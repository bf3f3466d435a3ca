"""Whatever fault is in force when the orchestrator is killed, another process removes all of it."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli.faults import engines_with
from tests.contract.test_faults import CASES
from tests.e2e.support import PROJECT, left_by, wait_until

ALWAYS = ("cpu_limit", "crash_loop", "partition", "pause", "unplug")
"""In `make test`, the ones whose state is a rule, a limit, a freezer or a task; others after it."""

BITES_WITHIN_S, GONE_WITHIN_S = 120, 30


def _cases() -> list[object]:
    cases = []
    for case, fault in sorted(CASES.items()):
        for engine in engines_with(fault.needs):
            marks = [getattr(pytest.mark, engine)]
            if case not in ALWAYS:
                marks.append(pytest.mark.experiment)
            cases.append(pytest.param(engine, case, marks=marks, id=f"{engine}-{case}"))
    return cases


@pytest.mark.parametrize(("engine", "case"), _cases())
def test_killed_in_the_middle_of_a_fault_nothing_stays(engine: str, case: str, tmp_path: Path):
    """SIGKILL leaves no time to heal; looked for without the lab's own help."""
    run_id, log = secrets.token_hex(4), tmp_path / "log"
    command = [sys.executable, "-m", "tests.contract.holding", engine, run_id, str(tmp_path), case]
    with log.open("w") as output:
        orchestrator = subprocess.Popen(
            command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(
            lambda: "bit: " in log.read_text() or orchestrator.poll() is not None,
            BITES_WITHIN_S,
            f"{case} biting",
        )
        assert orchestrator.poll() is None, log.read_text()
        assert left_by(engine, run_id)
    finally:
        orchestrator.kill()
        orchestrator.wait()
    wait_until(lambda: not left_by(engine, run_id), GONE_WITHIN_S, "clearing up")
