"""The search for a linearization of the operations on one object.

An order of all operations is looked for in which each takes effect between its invocation and its
return, and the object answers as it did (Herlihy & Wing, "Linearizability", 1990). The search is
that of Wing & Gong ("Testing and verifying concurrent objects", 1993) with what Lowe ("Testing for
linearizability", 2017) found makes it practical:

* Just in time: it goes through the returns in order, and places an operation only when it returns,
  before it whatever pending operations that needs. So a configuration holds only what is pending.
* Memory: a configuration (return reached, state, pending operations placed already) is looked at
  once. States are numbered, operations are bits, so that this is one look-up.

Two more cuts, both safe: a pending operation that only looks is placed as soon as it fits; and
an operation that may never have happened is placed as late as it is needed, so of two
configurations that differ in those only, the one that placed fewer stands for both. Equal ones
of them are used in the order they were invoked.

Times: an operation that returns at the very moment another is invoked counts as concurrent.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from lab.checkers.linear.models import REFUSED, Model
from lab.history import ClientOp

_LOOK_EVERY = 256
"""Configurations between two looks at the clock."""

Pending = tuple[tuple[int, int], ...]
"""(bit, class) of operations."""


class Limits(NamedTuple):
    """When to give up: seconds, and configurations (each takes some 200 bytes)."""

    seconds: float = 60.0
    configurations: int = 5_000_000


LIMITS = Limits()
"""Enough for some 100,000 operations on one object, if few of them overlap."""


class GaveUpError(Exception):
    """The search met a limit; the message says which."""


class Level(NamedTuple):
    """One return: the operation (by number), its bit, and what was pending just before it.

    `live` operations have to be placed before they return, the returning one among them, unless it
    is `optional`: then it leaves here whether it happened or not. `maybe` ones may never happen;
    those of one class follow each other. `numbers` are the operations of `live`. `must` are reads
    that the state has to lead to, by growing only: pending ones, and (with bit 0) one yet to come.
    """

    number: int
    bit: int
    optional: bool
    live: Pending
    maybe: tuple[Pending, ...]
    numbers: tuple[int, ...]
    must: Pending = ()


@dataclass(slots=True)
class Outcome:
    """What the search found; `reached` is the return that could not be passed.

    `states` are the states that were possible there.
    """

    reached: int
    states: tuple[Any, ...]
    configurations: int
    linearizable: bool


@dataclass(slots=True)
class Search:
    """A search over operations, which come sorted by `invoked_s`.

    Args:
        ops: the operations on one object, without those that failed.
        model: what the object does.
        optional: numbers of operations that may have happened or not, whatever their outcome.
    """

    ops: Sequence[ClientOp]
    model: Model
    optional: Collection[int] = ()
    classes: list[int] = field(init=False)
    levels: list[Level] = field(init=False)
    observing: list[bool] = field(init=False)
    _examples: list[ClientOp] = field(default_factory=list, init=False)
    _states: list[Any] = field(default_factory=list, init=False)
    _numbers: dict[Hashable, int] = field(default_factory=dict, init=False)
    _leads: dict[tuple[int, int], bool] = field(default_factory=dict, init=False)
    _next: list[dict[int, int]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        maybe = {n for n, op in enumerate(self.ops) if op.outcome == "info" or n in self.optional}
        self.model.learn(
            [op for number, op in enumerate(self.ops) if number not in maybe],
            [self.ops[number] for number in sorted(maybe)],
        )
        self.classes = self._classify()
        self.observing = [self.model.observes(op) for op in self._examples]
        self.levels = list(self._levels())
        if self.model.grows:
            self.levels = list(self._look_ahead(self.levels))

    def run(
        self,
        limits: Limits = LIMITS,
        first: int = 0,
        last: int | None = None,
        roots: Collection[Hashable] | None = None,
    ) -> Outcome:
        """Look for a linearization of the returns from `first` up to and with `last`.

        Args:
            limits: when to give up.
            first: the level to begin at; what returned before it is taken as not there.
            last: the level to end with; the last one by default.
            roots: the states to begin with; the model's initial one by default.

        Raises:
            GaveUpError: a limit was met.
        """
        end = len(self.levels) if last is None else last + 1
        if roots is None:
            roots = [self.model.initial]
        starts = [self._number(state) for state in roots]
        return _Run(self, limits, end).depth_first([(first, state, 0, 0) for state in starts])

    def seen_states(self) -> list[Any]:
        """Every state that any run met."""
        return self._states

    def step(self, state: int, kind: int) -> int:
        """The number of the state after, -1 where the operation does not fit."""
        known = self._next[state]
        if kind not in known:
            after = self.model.step(self._states[state], self._examples[kind])
            known[kind] = -1 if after is REFUSED else self._number(after)
        return known[kind]

    def known(self, state: int) -> dict[int, int]:
        """Steps taken from a state before."""
        return self._next[state]

    def leads(self, state: int, kind: int) -> bool:
        """Whether an answer may come about later."""
        known = self._leads.get((state, kind))
        if known is None:
            known = self.model.leads(self._states[state], self._examples[kind])
            self._leads[state, kind] = known
        return known

    def describe(self, state: int) -> Any:
        """The state as a value of the history."""
        return self.model.describe(self._states[state])

    def _number(self, state: Hashable) -> int:
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._next.append({})
        return number

    def _classify(self) -> list[int]:
        """Operations that are the same to the model share a class."""
        numbers: dict[Hashable, int] = {}
        classes = []
        for op in self.ops:
            process = op.process if self.model.by_process else 0
            unknown = op.outcome == "info"
            same = (op.function, op.argument, None if unknown else op.result, unknown, process)
            number = numbers.setdefault(same, len(numbers))
            if number == len(self._examples):
                self._examples.append(op)
            classes.append(number)
        return classes

    def _levels(self) -> Iterator[Level]:
        """The returns in order. Bits are used again once their operation has returned."""
        free: list[int] = []
        bits = 0
        live: dict[int, int] = {}
        maybe: dict[int, dict[int, int]] = {}
        frozen: tuple[Pending, ...] = ()
        for _, is_return, number in self._moments():
            kind, optional = self.classes[number], number in self.optional
            if not is_return:
                if not free:
                    free.append(1 << bits)
                    bits += 1
                bit = free.pop()
                if optional or self.ops[number].outcome == "info":
                    maybe.setdefault(kind, {})[number] = bit
                    frozen = self._frozen(maybe)
                else:
                    live[number] = bit
                continue
            bit = maybe[kind][number] if optional else live[number]
            pending = tuple((b, self.classes[n]) for n, b in live.items())
            yield Level(number, bit, optional, pending, frozen, tuple(live))
            free.append(bit)
            if optional:
                del maybe[kind][number]
                frozen = self._frozen(maybe)
            else:
                del live[number]

    def _look_ahead(self, levels: Sequence[Level]) -> Iterator[Level]:
        """The levels with what each has to lead to.

        Those reads count that return before an operation is invoked that may reset the object.
        """
        resetting = [self.model.resets(op) for op in self._examples]
        reads, resets_s = [(math.inf, -1)], [math.inf]
        for number in reversed(range(len(self.ops))):
            op, kind = self.ops[number], self.classes[number]
            certain = op.outcome != "info" and number not in self.optional
            reads.append(
                min(reads[-1], (op.returned_s, kind))
                if certain and self.observing[kind]
                else reads[-1]
            )
            resets_s.append(op.invoked_s if resetting[kind] else resets_s[-1])
        for level in levels:
            if any(resetting[kind] for _, kind in chain(level.live, *level.maybe)):
                yield level
                continue
            later = len(self.ops) - bisect_right(
                self.ops, self.ops[level.number].returned_s, key=_invoked_s
            )
            returned_s, ahead = reads[later]
            must = [
                (bit, kind)
                for (bit, kind), number in zip(level.live, level.numbers, strict=True)
                if self.observing[kind] and self.ops[number].returned_s < resets_s[later]
            ]
            if returned_s < resets_s[later]:
                must.append((0, ahead))
            yield level._replace(must=tuple(must))

    def _frozen(self, maybe: Mapping[int, Mapping[int, int]]) -> tuple[Pending, ...]:
        """By class, and in each those first that can be used no longer than the others."""
        return tuple(
            tuple((members[n], kind) for n in sorted(members, key=lambda n: self.ops[n].end_s))
            for kind, members in maybe.items()
            if members
        )

    def _moments(self) -> list[tuple[float, bool, int]]:
        """(time, whether it is a return, operation), in order; an `info` never returns."""
        moments = [(op.invoked_s, False, number) for number, op in enumerate(self.ops)]
        moments += [
            (op.returned_s, True, number)
            for number, op in enumerate(self.ops)
            if op.outcome != "info"
        ]
        return sorted(moments)


_invoked_s = attrgetter("invoked_s")

Configuration = tuple[int, int, int, int]
"""Level, state, bits of live operations placed, bits of `maybe` operations placed."""


class _Run:
    """One depth-first walk; what it has seen is its own."""

    def __init__(self, search: Search, limits: Limits, end: int) -> None:
        self.search, self.end, self.limits = search, end, limits
        self.seen: dict[tuple[int, int, int], list[int]] = {}
        self.stack: list[Configuration] = []
        self.looked = 0
        self.until_s = time.monotonic() + limits.seconds

    def depth_first(self, roots: list[Configuration]) -> Outcome:
        stack, seen, end = self.stack, self.seen, self.end
        levels, leads = self.search.levels, self.search.leads
        stack += roots
        while stack:
            level, state, placed, maybe = stack.pop()
            if level == end:
                return Outcome(end, (), self.looked, linearizable=True)
            _, _, _, live, _, _, must = levels[level]
            placed = self._absorb(live, state, placed)
            if must and not all(bit & placed or leads(state, kind) for bit, kind in must):
                continue
            before = seen.setdefault((level, state, placed), [])
            if any(one & maybe == one for one in before):
                continue
            before.append(maybe)
            self.looked += 1
            if self.looked % _LOOK_EVERY == 0:
                self._look()
            self._expand(level, state, placed, maybe)
        return self._stuck()

    def _absorb(self, live: Pending, state: int, placed: int) -> int:
        """Place every pending operation that only looks, and fits."""
        known, step = self.search.known(state), self.search.step
        observing = self.search.observing
        for bit, kind in live:
            if observing[kind] and not placed & bit:
                after = known.get(kind)
                if (step(state, kind) if after is None else after) == state:
                    placed |= bit
        return placed

    def _expand(self, number: int, state: int, placed: int, maybe: int) -> None:
        """Put on the stack what may come next; what lets the return pass comes off it first."""
        level, stack, step = self.search.levels[number], self.stack, self.search.step
        if placed & level.bit:
            stack.append((number + 1, state, placed & ~level.bit, maybe))
            return
        for same in level.maybe:
            unused = next(((bit, kind) for bit, kind in same if not maybe & bit), None)
            if unused and (after := step(state, unused[1])) not in (-1, state):
                stack.append((number, after, placed, maybe | unused[0]))
        returning = -1
        for bit, kind in level.live:
            if placed & bit:
                continue
            after = step(state, kind)
            if bit == level.bit:
                returning = after
            elif after >= 0:
                stack.append((number, after, placed | bit, maybe))
        if level.optional:
            stack.append((number + 1, state, placed, maybe & ~level.bit))
        elif returning >= 0:
            stack.append((number + 1, returning, placed, maybe))

    def _look(self) -> None:
        if self.looked >= self.limits.configurations:
            raise GaveUpError(f"{self.looked:,} configurations were not enough")
        if time.monotonic() > self.until_s:
            raise GaveUpError(f"{self.limits.seconds:g} s were not enough")

    def _stuck(self) -> Outcome:
        """Nothing is left: the furthest return, and the states in which it was tried."""
        reached = max((level for level, _, _ in self.seen), default=0)
        states = {state for level, state, _ in self.seen if level == reached}
        described = tuple(self.search.describe(state) for state in sorted(states))
        return Outcome(reached, described, self.looked, linearizable=False)
