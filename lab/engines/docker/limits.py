"""What containers may use: reading and changing it while they run."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lab.engines import Limits
from lab.engines.docker.cgroup import NO_LIMIT, read_limits
from lab.engines.docker.containers import quota
from lab.engines.docker.daemon import Daemon
from lab.errors import EngineError, InjectionError
from lab.plan import Instance
from lab.topology import Service
from lab.units import format_count, format_size

_UNLIMITED = -1
_ALL_BYTES = NO_LIMIT
_ALL_BYTES_AND_SWAP = 2**63 - 1
"""No limits for a kernel. The daemon refuses -1 for memory and does not hand it on for swap."""
_SAME_SHARE = 0.01
"""Kernels round memory to pages and the quota to microseconds."""


async def read(daemon: Daemon, container: str) -> Limits:
    """What is in force: the kernel's word where it can be read, else the daemon's."""
    found = await daemon.call(daemon.api.inspect_container, container)
    state = found["State"]
    in_force = read_limits(container, state["Pid"]) if state["Running"] else None
    return in_force or _of_daemon(found["HostConfig"])


async def set_cpus(daemon: Daemon, container: str, cpus: float | None) -> None:
    """Let it use that many cores, or without a limit."""
    wanted = quota(cpus) if cpus is not None else {**quota(1.0), "CpuQuota": _UNLIMITED}
    await daemon.call(
        daemon.api.update_container,
        container,
        cpu_period=wanted["CpuPeriod"],
        cpu_quota=wanted["CpuQuota"],
    )


async def set_memory(daemon: Daemon, container: str, memory_bytes: int | None) -> None:
    """Let it use that many bytes, swap included, or without a limit.

    Raises:
        InjectionError: it uses more already, which cgroup v1 refuses (v2 kills).
    """
    wanted, with_swap = memory_bytes or _ALL_BYTES, memory_bytes or _ALL_BYTES_AND_SWAP
    try:
        await daemon.call(
            daemon.api.update_container, container, mem_limit=wanted, memswap_limit=with_swap
        )
    except EngineError as error:
        if "busy" not in error.message and "unable to set memory limit" not in error.message:
            raise
        raise InjectionError(
            f"a memory limit of {format_size(wanted)} is below what is in use: {error.message}",
            remedy="write more than it uses at rest; this kernel (cgroup v1) takes no less",
        ) from error


async def changed(
    daemon: Daemon, instances: Iterable[Instance], containers: Mapping[str, str]
) -> list[str]:
    """Instances whose limits are not those of the topology, in words."""
    found: list[str] = []
    for instance in instances:
        with contextlib.suppress(EngineError):  # a container that is gone is told elsewhere
            limits = await read(daemon, containers[instance.name])
            found += [f"{instance.name}: {text}" for text in unlike(limits, instance.service)]
    return found


def unlike(limits: Limits, service: Service) -> Iterator[str]:
    """In words, what of the limits is not as the topology has it."""
    if not same(limits.cpus, service.cpus):
        yield f"its CPU limit is {_cores(limits.cpus)}, not {_cores(service.cpus)}"
    if not same(limits.memory_bytes, service.memory_bytes):
        yield f"its memory limit is {_size(limits.memory_bytes)}, not {_size(service.memory_bytes)}"


def same(one: float | None, other: float | None) -> bool:
    """Whether two limits mean the same to a kernel."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_SAME_SHARE)


def _of_daemon(host: Mapping[str, Any]) -> Limits:
    quota_us, memory_bytes = host.get("CpuQuota") or 0, host.get("Memory") or 0
    return Limits(
        quota_us / (host.get("CpuPeriod") or quota(1.0)["CpuPeriod"]) if quota_us > 0 else None,
        memory_bytes if 0 < memory_bytes < NO_LIMIT else None,
    )


def _cores(cpus: float | None) -> str:
    return "none" if cpus is None else format_count(cpus)


def _size(memory_bytes: int | None) -> str:
    return "none" if memory_bytes is None else format_size(memory_bytes)
