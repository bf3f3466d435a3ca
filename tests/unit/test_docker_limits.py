"""Limits of containers as kernels and daemons write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.engines import Limits
from lab.engines.docker import cgroup, limits
from lab.topology import Service

MIB = 1 << 20
V2 = {
    ("max 100000", "max"): Limits(None, None),
    ("25000 100000", "67108864"): Limits(0.25, 64 * MIB),
    ("150000 100000", "4611686018427387904"): Limits(1.5, None),  # as `limits` lifts a limit
}
V1 = {
    ("-1", "9223372036854771712"): Limits(None, None),
    ("25000", "67108864"): Limits(0.25, 64 * MIB),
}


def lay(folder: Path, files: dict[str, str]) -> None:
    """Files as the kernel shows them, each with its newline."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cgroups with a container `c1`."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("written", V2)
def test_version_2(root: Path, monkeypatch: pytest.MonkeyPatch, written: tuple[str, str]) -> None:
    """One folder, `cpu.max` and `memory.max` (cgroup-v2.rst)."""
    monkeypatch.setattr(cgroup, "_groups", lambda *_: {"": "/docker/c1"})
    lay(root, {"docker/c1/cpu.max": written[0], "docker/c1/memory.max": written[1]})
    assert cgroup.read_limits("c1", 1) == V2[written]


@pytest.mark.parametrize("written", V1)
def test_version_1(root: Path, monkeypatch: pytest.MonkeyPatch, written: tuple[str, str]) -> None:
    """A folder per controller; two of them are often mounted as one."""
    groups = {"memory": "/docker/c1", "cpu,cpuacct": "/docker/c1"}
    monkeypatch.setattr(cgroup, "_groups", lambda *_: groups)
    lay(
        root,
        {
            "cpu/docker/c1/cpu.cfs_quota_us": written[0],
            "cpu/docker/c1/cpu.cfs_period_us": "100000",
            "memory/docker/c1/memory.limit_in_bytes": written[1],
        },
    )
    assert cgroup.read_limits("c1", 1) == V1[written]


def test_a_process_that_is_not_in_the_container_says_nothing() -> None:
    """A daemon of another machine names ids that exist here as well: this test's, say."""
    assert cgroup.read_limits("no-such-container", os.getpid()) is None


def test_what_is_not_as_the_topology_has_it_is_said() -> None:
    """Rounding to pages and microseconds is no difference."""
    service = Service("app", cpus=0.333, memory_bytes=64 * MIB)
    assert list(limits.unlike(Limits(0.333001, 64 * MIB - 4096), service)) == []
    assert list(limits.unlike(Limits(0.2, None), service)) == [
        "its CPU limit is 0.2, not 0.33",
        "its memory limit is none, not 64 MiB",
    ]
    assert list(limits.unlike(Limits(None, None), Service("free"))) == []
