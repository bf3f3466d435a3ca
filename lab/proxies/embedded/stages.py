"""What each toxic does to a flow; names and units of attributes are Toxiproxy's.

| kind | attributes | effect |
|---|---|---|
| latency | latency, jitter (ms) | every chunk is late by latency +- jitter |
| bandwidth | rate (KB/s) | at most so many bytes per second and connection |
| slow_close | delay (ms) | the end arrives late |
| timeout | timeout (ms) | bytes vanish; closes after so long without any, 0: never |
| reset_peer | timeout (ms) | so long after the first byte, the connection is reset |
| slicer | average_size, size_variation (bytes), delay (us) | chunks arrive in slices |
| limit_data | bytes | closes after so many bytes |
"""

from __future__ import annotations

from collections.abc import Callable

from lab.proxies import Toxic
from lab.proxies.embedded.delays import Bandwidth, Latency, Slicer, SlowClose
from lab.proxies.embedded.flow import Flow
from lab.proxies.embedded.losses import LimitData, ResetPeer, Timeout
from lab.proxies.embedded.stage import Stage

KINDS: dict[str, tuple[Callable[[Flow, Toxic], Stage], tuple[str, ...]]] = {
    "noop": (Stage, ()),
    "latency": (Latency, ("latency", "jitter")),
    "bandwidth": (Bandwidth, ("rate",)),
    "slow_close": (SlowClose, ("delay",)),
    "timeout": (Timeout, ("timeout",)),
    "reset_peer": (ResetPeer, ("timeout",)),
    "slicer": (Slicer, ("average_size", "size_variation", "delay")),
    "limit_data": (LimitData, ("bytes",)),
}
"""How to make a stage of a kind, and the attributes that it has."""


def stage(flow: Flow, toxic: Toxic) -> Stage:
    """The stage of a toxic in a flow."""
    make, _ = KINDS[toxic.kind]
    return make(flow, toxic)
