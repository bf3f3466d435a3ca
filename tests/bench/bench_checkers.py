"""How long the checkers take, by length of the history and by how much of it overlaps.

    python -m tests.bench.bench_checkers        about 30 s

Histories are those of objects that are right, which is the longest way for a checker. The peers are
this search without one of its parts, and the brute force, on the same histories in the same run;
one that needs more than 5 s is shown as that. CPU seconds of this process, the best of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from random import Random
from typing import Any, ClassVar, NamedTuple

from lab.checkers.cycles import anomalies
from lab.checkers.linear import (
    REFUSED,
    GaveUpError,
    Limits,
    Model,
    Search,
    by_object,
    linearizable,
    model_for,
)
from lab.checkers.linear.models import Register, Text
from lab.checkers.truth import findings
from lab.history import ClientOp
from tests.bench.results import keep
from tests.unit.databases import Database, SnapshotIsolation, use
from tests.unit.simulated import Ask, simulate
from tests.unit.test_linear import Real, some_order_explains

LIMIT_S = 5.0
ROUNDS = 3
SIZES = ((1_000, 10, 10), (10_000, 10, 10), (100_000, 10, 10), (10_000, 1, 5), (10_000, 1, 10))
"""(operations, keys, clients)."""


class Timed(NamedTuple):
    """CPU seconds, and what came out; `ended` is false where the limit was met."""

    seconds: float
    ended: bool


def timed(work: Callable[[], object]) -> Timed:
    """The best of three, or the first that meets the limit."""
    best = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        try:
            work()
        except GaveUpError:
            return Timed(time.process_time() - began_s, ended=False)
        best = min(best, time.process_time() - began_s)
        if best > LIMIT_S / ROUNDS:
            break
    return Timed(best, ended=True)


def history(operations: int, keys: int, clients: int, model: type[Any]) -> list[ClientOp]:
    """A history of real objects that all clients use at once."""
    real: dict[str, Real] = {}

    def ask(rng: Random, number: int) -> Ask:
        key = f"k{rng.randrange(keys)}"
        if model is Text:
            return ("append", key, f"{number} ") if rng.random() < 0.5 else ("read", key, None)
        kind = rng.choice(["read", "write", "cas"])
        argument = {"read": None, "write": number, "cas": (rng.randrange(number + 1), number)}[kind]
        return kind, key, argument

    def apply(asked: Ask) -> Any:
        return real.setdefault(asked[1], Real(model))(asked)

    return simulate(Random(1), ask, apply, clients, operations // clients)


def search(ops: list[ClientOp], make: Callable[[list[ClientOp]], Model | None]) -> None:
    """Every object, without a verdict on what was found."""
    for part in by_object(ops).values():
        model = make(part)
        assert model is not None
        assert Search(part, model).run(Limits(LIMIT_S)).linearizable


class Blind(Text):
    """The text model without looking ahead."""

    grows: ClassVar[bool] = False


class Registers(Register):
    """All registers as one object, whose state is all their values."""

    def __init__(self) -> None:
        super().__init__(())

    def step(self, state: Any, op: ClientOp) -> Hashable:
        values = dict(state)
        after = super().step(values.get(op.key), op)
        if after is REFUSED:
            return REFUSED
        return tuple(sorted({**values, op.key: after}.items(), key=lambda pair: str(pair[0])))


def as_one(ops: list[ClientOp]) -> None:
    """Not object by object. The key is part of what an operation asks for."""
    joined = [op._replace(argument=_Keyed(op)) for op in ops]
    joined.sort(key=lambda op: op.invoked_s)
    model = _Unpacked()
    assert Search(joined, model).run(Limits(LIMIT_S)).linearizable


class _Keyed(NamedTuple):
    """An argument that tells operations on different keys apart."""

    op: ClientOp


class _Unpacked(Registers):
    def step(self, state: Any, op: ClientOp) -> Hashable:
        return super().step(state, op.argument.op)


def by_size() -> None:
    """The first table."""
    print("linearizability    operations  keys  clients    CPU s      ops/s   x the first, an op")
    for model in (Register, Text):
        first = 0.0
        for operations, keys, clients in SIZES:
            ops = history(operations, keys, clients, model)
            took = timed(lambda ops=ops: linearizable(ops, Limits(LIMIT_S)))
            each = took.seconds / operations
            first = first or each
            print(
                f"{model.name:18} {operations:>10,}  {keys:>4}  {clients:>7} {took.seconds:>8.3f}"
                f" {1 / each:>10,.0f}   {each / first:>6.2f}"
            )
            name = f"checkers.linear.{model.name}.{operations}x{keys}x{clients}"
            keep({f"{name}.seconds": took.seconds, f"{name}.ops_per_s": 1 / each})


def beside_peers() -> None:
    """The second table."""
    print("\nthe search beside            peer         CPU s   CPU s of peer   search is")
    registers = history(1_000, 10, 10, Register)
    texts = history(1_000, 5, 20, Text)
    wrong = impossible(8)
    rows: tuple[tuple[str, str, Callable[[], object], Callable[[], object]], ...] = (
        (
            "1,000 on 10 keys, 10 clients",
            "as one object",
            lambda: search(registers, model_for),
            lambda: as_one(registers),
        ),
        (
            "1,000 texts, 20 clients",
            "not looking ahead",
            lambda: search(texts, model_for),
            lambda: search(texts, lambda _: Blind()),
        ),
        (
            "8 at once, none in order",
            "brute force",
            lambda: Search(wrong, Register()).run(),
            lambda: some_order_explains(wrong, Register()),
        ),
    )
    for what, name, own, peer in rows:
        ours, theirs = timed(own), timed(peer)
        ratio = theirs.seconds / ours.seconds
        more = "" if theirs.ended else "> "
        print(
            f"{what:28} {name:18} {ours.seconds:>8.4f} {more + f'{theirs.seconds:.4f}':>12}"
            f" {more + f'{ratio:,.0f}x quicker':>18}"
        )
        keep({f"checkers.ratio_vs.{name.replace(' ', '_')}": ratio})


def impossible(operations: int) -> list[ClientOp]:
    """Writes that all overlap, and a read of something else."""
    read = ClientOp("", 0, "read", "x", None, "never", 0.0, 9.0, "ok")
    numbers = range(1, operations)
    return [read, *(ClientOp("", n, "write", "x", n, None, 0.0, 9.0, "ok") for n in numbers)]


def others() -> None:
    """The third table."""
    print("\nothers                               operations    CPU s      ops/s")
    rows: list[tuple[str, list[ClientOp], Callable[[list[ClientOp]], object]]] = [
        ("anomalies, serial", use(Database(), Random(1), n, 10, 20), anomalies)
        for n in (1_000, 5_000)
    ]
    rows += [
        ("anomalies, snapshot isolation", use(SnapshotIsolation(), Random(1), n, 10, 20), anomalies)
        for n in (1_000, 5_000)
    ]
    rows += [
        ("simple truths, registers", history(n, 10, 10, Register), findings)
        for n in (1_000, 10_000)
    ]
    for name, ops, check in rows:
        took = timed(lambda ops=ops, check=check: check(ops))
        print(f"{name:36} {len(ops):>10,} {took.seconds:>8.3f} {len(ops) / took.seconds:>10,.0f}")
        key = "_".join(name.replace(",", "").split())
        keep({f"checkers.{key}.{len(ops)}.ops_per_s": len(ops) / took.seconds})


def main() -> None:
    """Print all tables."""
    by_size()
    beside_peers()
    others()


if __name__ == "__main__":
    main()
