"""Anomalies that single reads show, before any cycle is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from lab.checkers.cycles.transactions import APPEND, Transactions
from lab.checkers.finding import Arrow, Counterexample, brief

Anomalies = Iterator[Counterexample]


def aborted_reads(txns: Transactions) -> Anomalies:
    """G1a: what a transaction appended that failed was read."""
    for read in txns.reads:
        for value in read.values:
            writer = txns.writers.get((read.key, value))
            if writer is not None and txns.ops[writer].outcome == "fail":
                text = f"T2 read {brief(value)} in {read.key}, which T1 appended, and T1 failed"
                yield _pair(txns, writer, read.transaction, text, read.key)


def intermediate_reads(txns: Transactions) -> Anomalies:
    """G1b: a read ends with what its transaction had not finished with."""
    for read in txns.reads:
        if not read.values:
            continue
        value = read.values[-1]
        writer = txns.writers.get((read.key, value))
        if writer is None or writer == read.transaction:
            continue
        final = txns.finals[writer, read.key]
        if final != value:
            text = (
                f"T2 read {read.key} up to {brief(value)}, "
                f"and T1 appended {brief(final)} to it in the same transaction"
            )
            yield _pair(txns, writer, read.transaction, text, read.key)


def internal(txns: Transactions) -> Anomalies:
    """A transaction does not see its own earlier steps."""
    for op in txns.ops:
        if op.outcome != "ok":
            continue
        known: dict[str, tuple[Any, ...]] = {}
        own: dict[str, tuple[Any, ...]] = {}
        for kind, key, value in op.result:
            if kind == APPEND:
                own[key] = (*own.get(key, ()), value)
                if key in known:
                    known[key] = (*known[key], value)
                continue
            values, mine = tuple(value or ()), own.get(key, ())
            seen = values if key in known else values[len(values) - len(mine) :]
            expected = known.get(key, mine)
            if seen != expected:
                text = f"T1 read {key} as {brief(values)}, not ending in its own {brief(expected)}"
                yield Counterexample(text, (op,), (0,))
                break
            known[key] = values


def lost_updates(txns: Transactions) -> Anomalies:
    """Several transactions read the same version of a list and then all appended to it."""
    by_version: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
    for read in txns.reads:
        appends = any(key == read.key for key, _ in txns.appended(read.transaction))
        if read.first and appends and _reads_before_appending(txns, read.transaction, read.key):
            by_version.setdefault((read.key, read.values), []).append(read.transaction)
    for (key, values), numbers in by_version.items():
        if len(numbers) > 1:
            ops = tuple(txns.ops[number] for number in numbers[:3])
            names = ", ".join(f"T{place + 1}" for place in range(len(ops)))
            text = f"{names} all read {key} as {brief(values)} and appended to it"
            yield Counterexample(text, ops, tuple(range(len(ops))))


def incompatible_orders(txns: Transactions) -> Anomalies:
    """Two reads of a list agree in no order of its appends."""
    longest: dict[str, int] = {}
    for read in txns.reads:
        if read.values == txns.orders[read.key]:
            longest.setdefault(read.key, read.transaction)
    for read in txns.reads:
        order = txns.orders[read.key]
        if read.values != order[: len(read.values)]:
            text = f"T1 read {read.key} as {brief(order)}, T2 as {brief(read.values)}"
            yield _pair(txns, longest[read.key], read.transaction, text, read.key)


def duplicates(txns: Transactions) -> Anomalies:
    """A read holds a value twice that was appended once."""
    for read in txns.reads:
        if len(set(read.values)) < len(read.values):
            text = f"T1 read {read.key} as {brief(read.values)}: one value more than once"
            yield Counterexample(text, (txns.ops[read.transaction],), (0,))


def garbage(txns: Transactions) -> Anomalies:
    """A read holds a value that nobody appended."""
    for read in txns.reads:
        for value in read.values:
            if (read.key, value) not in txns.writers:
                text = f"T1 read {brief(value)} in {read.key}, which nobody appended"
                yield Counterexample(text, (txns.ops[read.transaction],), (0,))
                break


def _reads_before_appending(txns: Transactions, number: int, key: str) -> bool:
    steps = [kind for kind, name, _ in txns.ops[number].argument if name == key]
    return bool(steps) and steps[0] != APPEND


def _pair(txns: Transactions, one: int, other: int, text: str, key: str) -> Counterexample:
    if one == other:
        return Counterexample(text.replace("T2", "T1"), (txns.ops[one],), (0,))
    return Counterexample(text, (txns.ops[one], txns.ops[other]), (1,), (Arrow(0, 1, key),))


READ_ANOMALIES: Final[Mapping[str, Callable[[Transactions], Anomalies]]] = {
    "duplicate elements": duplicates,
    "garbage reads": garbage,
    "incompatible order": incompatible_orders,
    "internal": internal,
    "G1a": aborted_reads,
    "G1b": intermediate_reads,
    "lost update": lost_updates,
}
"""By name."""
