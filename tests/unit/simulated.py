"""Histories of objects that really are what they claim, for tests: clients, crashes, time.

A simulated client invokes at a random time, its operation takes effect later, the answer arrives
later still. A crashed client's operation is `info` and took effect before, after, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from lab.history import ClientOp, Outcome

Ask = tuple[str, str, Any]
"""function, key, argument."""


class Moment(NamedTuple):
    """When one operation of a process takes effect; sorted, they are the true order."""

    effect_s: float
    invoked_s: float
    returned_s: float
    process: int


def moments(rng: Random, clients: int, each: int) -> list[Moment]:
    """Operations of clients that do one at a time, in the order they take effect."""
    found = []
    for process in range(clients):
        now_s = rng.random()
        for _ in range(each):
            effect_s = now_s + rng.random()
            returned_s = effect_s + rng.random()
            found.append(Moment(effect_s, now_s, returned_s, process))
            now_s = returned_s + rng.random() / 4
    return sorted(found)


def simulate(
    rng: Random,
    asks: Callable[[Random, int], Ask],
    apply: Callable[[Ask], Any],
    clients: int,
    each: int,
    crash_share: float = 0.0,
) -> list[ClientOp]:
    """A history of one system.

    Args:
        rng: everything random comes from it.
        asks: draws what to ask; its second argument counts from 0.
        apply: does it to the system and answers.
        clients: how many at a time.
        each: operations of each.
        crash_share: how many of them nobody hears of; half of those never happen, and some only
            much later. Their process is not used again.
    """
    due: list[tuple[float, int, Moment, Ask, bool]] = []
    ops = []
    for number, moment in enumerate(moments(rng, clients, each)):
        ask, crashed = asks(rng, number), rng.random() < crash_share
        if crashed and rng.random() < 0.5:
            ops.append(_op(moment, ask, None, crashed=True))
        else:
            late_s = rng.choice([0.0, 5 * rng.random()]) if crashed else 0.0
            due.append((moment.effect_s + late_s, number, moment, ask, crashed))
    for _, _, moment, ask, crashed in sorted(due):
        answer = apply(ask)
        ops.append(_op(moment, ask, None if crashed else answer, crashed=crashed))
    return _retire(ops, clients)


def _op(moment: Moment, ask: Ask, answer: Any, *, crashed: bool) -> ClientOp:
    function, key, argument = ask
    outcome: Outcome = "info" if crashed else "ok"
    times = (moment.invoked_s, moment.returned_s)
    return ClientOp("", moment.process, function, key, argument, answer, *times, outcome)


def _retire(ops: Sequence[ClientOp], clients: int) -> list[ClientOp]:
    """After an `info` a client goes on as a new process."""
    names = list(range(clients))
    found, fresh = [], clients
    for op in sorted(ops, key=lambda op: op.invoked_s):
        found.append(op._replace(process=names[op.process]))
        if op.outcome == "info":
            names[op.process] = fresh
            fresh += 1
    return found
