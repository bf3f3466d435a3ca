"""What this kernel offers for faults of packets, found out by trying: `python -m agent offers`."""

from __future__ import annotations

from .kernel import OrderError, run
from .stage import Stage

NETEM = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]


async def offers() -> dict[str, str]:
    """Why not, by what is tried: `iptables`, `share`, `queue`, `netem`; "" where it is there.

    For a network namespace of its own, which ends with this process.
    """
    stage = Stage()
    try:
        await stage.account([])
    except OrderError as error:
        found = {"iptables": str(error), "share": str(error), "queue": str(error)}
    else:
        found = {"iptables": "", "share": "", "queue": "", **await stage.lacks()}
    try:
        await run(NETEM)
    except OrderError as error:
        return {**found, "netem": str(error)}
    return {**found, "netem": ""}
