"""Places for tests that start programs of recipes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.local_processes import (
    Host,
    Mode,
    folder_for_all,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_all() as path:
        yield path


@pytest.fixture(params=["addresses", "ports"])
def host(request: pytest.FixtureRequest, folder: Path) -> Host:
    mode: Mode = request.param
    if mode == "addresses" and sys.platform != "linux":
        pytest.skip("only Linux has all of 127.0.0.0/8")
    return Host(folder, mode)
