"""A container's consumption and limits from the kernel's own files.

They are there to be read where the daemon runs on this machine.

The daemon's statistics wait for its next sampling, up to a second; a fault cannot. The files also
have the kernel's peak of the memory, which the API tells for cgroup v1 only.
"""

from __future__ import annotations

from pathlib import Path

from lab.engines import Limits, Usage

_ROOT = Path("/sys/fs/cgroup")

NO_LIMIT = 2**62
"""From this on, a limit on memory is none: cgroup v1 writes the largest number of whole pages."""


def read_cgroup(container: str, pid: int) -> Usage | None:
    """Usage since the container's start; None where the files cannot be read from here.

    `pid` is the container's first process as the daemon's machine numbers it.
    """
    try:
        groups = _groups(container, pid)
        return _version_1(groups) if "memory" in groups else _version_2(_ROOT / groups[""][1:])
    except (OSError, ValueError, KeyError):
        return None


def read_limits(container: str, pid: int) -> Limits | None:
    """What the kernel lets it use; None where the files cannot be read from here."""
    try:
        groups = _groups(container, pid)
        if "memory" in groups:
            return _limits_1(groups)
        return _limits_2(_ROOT / groups[""][1:])
    except (OSError, ValueError, KeyError):
        return None


def _groups(container: str, pid: int) -> dict[str, str]:
    """Its path by controllers; by "" on cgroup v2.

    Raises:
        KeyError: another machine's daemon means another process, though one of this id is here.
    """
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    groups: dict[str, str] = dict(line.split(":", 2)[1:] for line in lines)
    if not any(container in path for path in groups.values()):
        raise KeyError(container)
    return groups


def _limits_1(groups: dict[str, str]) -> Limits:
    cpu = _ROOT / "cpu" / next(p for names, p in groups.items() if "cpu" in names.split(","))[1:]
    quota_us = _number(cpu / "cpu.cfs_quota_us")
    cpus = quota_us / _number(cpu / "cpu.cfs_period_us") if quota_us > 0 else None
    memory_bytes = _number(_ROOT / "memory" / groups["memory"][1:] / "memory.limit_in_bytes")
    return Limits(cpus, memory_bytes if memory_bytes < NO_LIMIT else None)


def _limits_2(folder: Path) -> Limits:
    quota_us, period_us = (folder / "cpu.max").read_text().split()
    memory_bytes = (folder / "memory.max").read_text().strip()
    unlimited = memory_bytes == "max" or int(memory_bytes) >= NO_LIMIT
    return Limits(
        None if quota_us == "max" else int(quota_us) / int(period_us),
        None if unlimited else int(memory_bytes),
    )


def _version_1(groups: dict[str, str]) -> Usage:
    cpu = next(path for names, path in groups.items() if "cpuacct" in names.split(","))
    memory = _ROOT / "memory" / groups["memory"][1:]
    used = _number(memory / "memory.usage_in_bytes")
    return Usage(
        _number(_ROOT / "cpuacct" / cpu[1:] / "cpuacct.usage") / 1e9,
        used - _field(memory / "memory.stat", "total_inactive_file"),
        _number(memory / "memory.max_usage_in_bytes"),
    )


def _version_2(folder: Path) -> Usage:
    used, peak = _number(folder / "memory.current"), folder / "memory.peak"
    return Usage(
        _field(folder / "cpu.stat", "usage_usec") / 1e6,
        used - _field(folder / "memory.stat", "inactive_file"),
        _number(peak) if peak.exists() else used,  # Linux 5.19 and later
    )


def _number(path: Path) -> int:
    return int(path.read_text())


def _field(path: Path, name: str) -> int:
    return next(
        int(value) for key, value in map(str.split, path.read_text().splitlines()) if key == name
    )
