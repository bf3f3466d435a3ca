"""A container's consumption from the kernel's own files, where the daemon runs on this machine.

The daemon's statistics wait for its next sampling, up to a second; a fault cannot. The files also
have the kernel's peak of the memory, which the API tells for cgroup v1 only.
"""

from __future__ import annotations

from pathlib import Path

from lab.engines import Usage

_ROOT = Path("/sys/fs/cgroup")


def read_cgroup(container: str, pid: int) -> Usage | None:
    """Usage since the container's start; None where the files cannot be read from here.

    `pid` is the container's first process as the daemon's machine numbers it.
    """
    try:
        groups = dict(
            line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        )
        # Another machine's daemon may name a process id that exists here, too.
        if not any(container in path for path in groups.values()):
            return None
        return _version_1(groups) if "memory" in groups else _version_2(_ROOT / groups[""][1:])
    except (OSError, ValueError, KeyError):
        return None


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
