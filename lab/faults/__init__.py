"""The fault kinds. A new one is a file in this folder and a line in `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.faults.admin_request import AdminRequest
from lab.faults.app_error import AppError
from lab.faults.bandwidth import Bandwidth
from lab.faults.base import Fault, Observation, refusal
from lab.faults.blackhole import Blackhole
from lab.faults.certificate import Certificate
from lab.faults.clock_skew import ClockSkew
from lab.faults.corrupt import Corrupt
from lab.faults.cpu_limit import CpuLimit
from lab.faults.crash_loop import CrashLoop
from lab.faults.disk_full import DiskFull
from lab.faults.dns import Dns
from lab.faults.duplicate import Duplicate
from lab.faults.exec import Exec
from lab.faults.failpoint import Failpoint
from lab.faults.fd_limit import FdLimit
from lab.faults.flap import Flap
from lab.faults.http import Http
from lab.faults.injection import Injection, check_targets, prepare
from lab.faults.kill import Kill
from lab.faults.latency import Latency
from lab.faults.limit_data import LimitData
from lab.faults.long_transaction import LongTransaction
from lab.faults.loss import Loss
from lab.faults.memory_limit import MemoryLimit
from lab.faults.packet_delay import PacketDelay
from lab.faults.partition import Partition
from lab.faults.pause import Pause
from lab.faults.promote import Promote
from lab.faults.refuse import Refuse
from lab.faults.reorder import Reorder
from lab.faults.replace import Replace
from lab.faults.reset import Reset
from lab.faults.restart import Restart
from lab.faults.rolling_deploy import RollingDeploy
from lab.faults.signal import Signal
from lab.faults.slicer import Slicer
from lab.faults.slow_close import SlowClose
from lab.faults.slow_connect import SlowConnect
from lab.faults.slow_disk import SlowDisk
from lab.faults.sql import Sql
from lab.faults.stop import Stop
from lab.faults.together import Together
from lab.faults.triggered import injections
from lab.faults.unplug import Unplug

KINDS: Final[Mapping[str, type[Fault]]] = {
    fault.kind: fault
    for fault in (
        AdminRequest,
        AppError,
        Bandwidth,
        Blackhole,
        Certificate,
        Corrupt,
        ClockSkew,
        CpuLimit,
        CrashLoop,
        DiskFull,
        Dns,
        Duplicate,
        Failpoint,
        FdLimit,
        Exec,
        Flap,
        Http,
        Kill,
        Latency,
        LimitData,
        LongTransaction,
        Loss,
        MemoryLimit,
        PacketDelay,
        Partition,
        Pause,
        Promote,
        Refuse,
        Reorder,
        Replace,
        Reset,
        Restart,
        RollingDeploy,
        Signal,
        Slicer,
        SlowClose,
        SlowConnect,
        Sql,
        SlowDisk,
        Stop,
        Unplug,
    )
}
"""Every fault kind by its YAML word."""

__all__ = [
    "KINDS",
    "Fault",
    "Injection",
    "Observation",
    "Together",
    "check_targets",
    "injections",
    "prepare",
    "refusal",
]
