"""Checkers of truth. A new one is a file in this folder and a line in `TRUTHS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from lab.checkers.finding import Finding
from lab.checkers.truth.bank import BANK
from lab.checkers.truth.base import Object, Truth, objects
from lab.checkers.truth.duplicates import DUPLICATES
from lab.checkers.truth.lost_updates import LOST_UPDATES
from lab.checkers.truth.lost_writes import LOST_WRITES
from lab.checkers.truth.monotonic_reads import MONOTONIC_READS
from lab.checkers.truth.out_of_order import OUT_OF_ORDER
from lab.checkers.truth.own_writes import OWN_WRITES
from lab.checkers.truth.phantom_writes import PHANTOM_WRITES
from lab.checkers.truth.stale_reads import STALE_READS
from lab.checkers.truth.unique_ids import UNIQUE_IDS
from lab.history import ClientOp

__all__ = ["TRUTHS", "Object", "Truth", "findings", "objects"]

TRUTHS: Final[Mapping[str, Truth]] = {
    truth.name: truth
    for truth in (
        LOST_WRITES,
        PHANTOM_WRITES,
        DUPLICATES,
        OUT_OF_ORDER,
        STALE_READS,
        LOST_UPDATES,
        MONOTONIC_READS,
        OWN_WRITES,
        BANK,
        UNIQUE_IDS,
    )
}
"""Every checker by the name of what it finds."""


def findings(ops: Sequence[ClientOp]) -> tuple[Finding, ...]:
    """What every checker that applies to these operations of one design says."""
    return tuple(truth.check(ops) for truth in TRUTHS.values() if truth.applies(ops))
