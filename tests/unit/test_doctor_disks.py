"""What the doctor says of slow disks, from what daemons say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from lab.doctor import slow_disks


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ({"Warnings": None, "SecurityOptions": ["name=seccomp,profile=default"]}, ""),
        ({"Warnings": ["WARNING: No swap limit support"]}, ""),
        ({"OperatingSystem": "Docker Desktop"}, "virtual machine"),
        ({"SecurityOptions": ["name=rootless"]}, "without root"),
        (
            {"Warnings": ["WARNING: No blkio throttle.write_bps_device support"]},
            "refused: No blkio throttle.write_bps_device support",
        ),
    ],
)
def test_slow_disks_are_for_kernels_that_throttle(info: dict[str, Any], says: str):
    """Refused where `slow_disk` is, with the same reason; nothing that a run needs."""
    found = slow_disks(info)
    assert found.fine == (not says)
    assert says in found.detail
    assert found.fine or not found.needed
