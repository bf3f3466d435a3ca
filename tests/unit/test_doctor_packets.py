"""What `lab doctor` makes of what the kernel offers."""

from __future__ import annotations

import pytest

from lab.doctor import packet_faults

NO = "iptables-nft-restore: Extension statistic revision 0 not supported, missing kernel module?"
ALL = {"iptables": "", "share": "", "queue": "", "netem": ""}


def test_all_there_is_fine_with_or_without_netem() -> None:
    """The lab does not use it, and says so."""
    assert packet_faults(ALL).fine
    found = packet_faults({**ALL, "netem": "Error: Specified qdisc kind is unknown."})
    assert found.fine
    assert "netem is not; the lab does without" in found.detail


@pytest.mark.parametrize(
    ("lack", "words", "module"),
    [
        ("share", "no statistic: `loss` is refused", "xt_statistic"),
        ("queue", "`loss` but for `stream: upstream`", "nfnetlink_queue"),
    ],
)
def test_what_is_lacking_is_named_with_what_it_means(lack: str, words: str, module: str) -> None:
    """Runs without such faults still go."""
    found = packet_faults({**ALL, lack: NO})
    assert not found.fine
    assert not found.needed
    assert words in found.detail
    assert module in found.remedy


def test_without_iptables_nothing_goes() -> None:
    """Then links cannot even be counted."""
    found = packet_faults({**ALL, "iptables": NO, "share": NO, "queue": NO})
    assert found.needed
    assert not found.fine


def test_before_the_first_run_nobody_knows() -> None:
    """That is no fault of the machine."""
    assert packet_faults(None).fine
