"""The bank: transfers move money, so the accounts keep their total, and none is below 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.checkers.finding import Counterexample, Finding, found
from lab.checkers.truth.base import Truth, objects
from lab.history import ClientOp


def check(ops: Sequence[ClientOp]) -> Finding:
    """Counts reads; one answers `[[account, balance], ...]`, and the first sets the total."""
    wrongs: list[Counterexample] = []
    judged = 0
    for one in objects(ops, "transfer"):
        reads = one.ok("read")
        judged += len(reads)
        for read in reads:
            first = reads[0]
            expected, total = _total(first.result), _total(read.result)
            debts = [f"{account} has {amount}" for account, amount in read.result if amount < 0]
            if total != expected:
                text = f"the accounts held {expected} and then {total}"
                wrongs.append(Counterexample(text, (first, read), (1,)))
            elif debts:
                wrongs.append(Counterexample(", ".join(debts), (read,), (0,)))
    return found("bank", wrongs, judged, "read of the accounts")


def _total(accounts: Sequence[tuple[Any, Any]]) -> Any:
    return sum(amount for _, amount in accounts)


BANK = Truth(
    "bank",
    "a read of all accounts has another total than the first, or a balance below 0",
    frozenset({"transfer"}),
    check,
)
