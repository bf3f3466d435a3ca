"""Small databases of lists that keep a known isolation level, and clients that use them at once.

They are driven step by step in a random interleaving, so that every level shows what it allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from lab.history import ClientOp

Step = tuple[str, str, Any]


class AbortedError(Exception):
    """The database would not commit."""


class Database:
    """Serial: a transaction's steps happen in one go when it commits. Others override."""

    def __init__(self) -> None:
        self.lists: dict[str, tuple[int, ...]] = {}

    def transaction(self, steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
        """Do one step each time it is asked to go on, then answer with all results."""
        yield ()
        yield tuple(self.step(step) for step in steps)

    def step(self, step: Step) -> Step:
        """Do it to the lists themselves."""
        kind, key, value = step
        if kind == "append":
            self.lists[key] = (*self.lists.get(key, ()), value)
            return step
        return (kind, key, self.lists.get(key, ()))


class ReadUncommitted(Database):
    """Every step shows at once, and an aborted transaction leaves what it did."""

    def transaction(self, steps):
        done = []
        for step in steps:
            done.append(self.step(step))
            yield ()
        if steps[0][0] == "append" and steps[0][2] % 7 == 0:
            raise AbortedError
        yield tuple(done)


class ReadCommitted(Database):
    """Each read sees what is committed at that moment; who appends to a list locks it first.

    A transaction that waits for long is aborted, as it may be part of a deadlock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.locks: dict[str, object] = {}

    def transaction(self, steps):
        own: dict[str, tuple[int, ...]] = {}
        me, done = object(), []
        try:
            for kind, key, value in steps:
                yield ()
                if kind == "append":
                    yield from self.locking(key, me)
                    own[key] = (*own.get(key, ()), value)
                    done.append((kind, key, value))
                else:
                    done.append((kind, key, (*self.lists.get(key, ()), *own.get(key, ()))))
            for key, values in own.items():
                self.lists[key] = (*self.lists.get(key, ()), *values)
        finally:
            self.locks = {key: owner for key, owner in self.locks.items() if owner is not me}
        yield tuple(done)

    def locking(self, key, me):
        """Wait until the list is nobody's or mine."""
        for _ in range(20):
            if self.locks.setdefault(key, me) is me:
                return
            yield ()
        raise AbortedError


class SnapshotIsolation(Database):
    """All reads see the state at the start; of two appends to one list the second is refused."""

    def transaction(self, steps):
        snapshot = dict(self.lists)
        view = dict(snapshot)
        done = []
        for kind, key, value in steps:
            yield ()
            if kind == "append":
                view[key] = (*view.get(key, ()), value)
                done.append((kind, key, value))
            else:
                done.append((kind, key, view.get(key, ())))
        written = {key for kind, key, _ in steps if kind == "append"}
        if any(self.lists.get(key, ()) != snapshot.get(key, ()) for key in written):
            raise AbortedError
        self.lists.update({key: view[key] for key in written})
        yield tuple(done)


def use(
    database: Database,
    rng: Random,
    transactions: int,
    clients: int = 5,
    keys: int = 3,
    lost_share: float = 0.0,
) -> list[ClientOp]:
    """The history of clients that do transactions of up to four steps, interleaved at random.

    `lost_share` of the answers never arrive; those transactions are `info`, committed or not.
    """
    now_s, value, ops = 0.0, 0, []
    running: dict[int, tuple[float, tuple[Step, ...], Iterator[Any]]] = {}
    free = list(range(clients))
    fresh = clients
    while len(ops) < transactions:
        now_s += 1.0
        if free and (len(running) < 2 or rng.random() < 0.4):
            steps = []
            for _ in range(rng.randint(1, 4)):
                key, value = f"k{rng.randrange(keys)}", value + 1
                steps.append(("append", key, value) if rng.random() < 0.5 else ("read", key, None))
            running[free.pop()] = (now_s, tuple(steps), database.transaction(tuple(steps)))
            continue
        process = rng.choice(list(running))
        began_s, asked, going = running[process]
        try:
            result = next(going)
        except AbortedError:
            outcome, result = "fail", None
        else:
            if not result:
                continue
            outcome = "ok"
        if rng.random() < lost_share:
            outcome, result, fresh = "info", None, fresh + 1
        ops.append(ClientOp("", process, "txn", "", asked, result, began_s, now_s, outcome))
        del running[process]
        free.append(fresh if outcome == "info" else process)
    open_ones = [
        ClientOp("", process, "txn", "", asked, None, began_s, now_s, "info")
        for process, (began_s, asked, _) in running.items()
    ]
    return ops + open_ones
