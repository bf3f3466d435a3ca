"""Each checker of truth: silent on objects that are right, loud on one planted wrong."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checkers.linear import MODELS
from lab.checkers.linear.models import Counter, Queue, Register, Set, Text
from lab.checkers.truth import TRUTHS, findings
from lab.history import ClientOp
from tests.unit.simulated import Ask, moments, simulate
from tests.unit.test_linear import DRAWS, Real


def op(function, argument, result, from_s, to_s, outcome="ok", process=0, key="x") -> ClientOp:
    return ClientOp("", process, function, key, argument, result, from_s, to_s, outcome)


def said(ops: list[ClientOp]) -> dict[str, float | None]:
    return {finding.name: finding.value for finding in findings(ops)}


def unique(draws: list[Callable[[Random, int], Ask]]) -> Callable[[Random, int], Ask]:
    """The draws of a real object, each written value once."""

    def draw(rng: Random, number: int) -> Ask:
        function, key, argument = rng.choice(draws)(rng, number)
        if function == "write" and not isinstance(argument, str):
            return function, key, number
        if function == "cas":
            return function, key, (rng.randrange(number + 1), number)
        return function, key, argument

    return draw


def with_end(ops: list[ClientOp], real: Real, *asks: str) -> list[ClientOp]:
    """The history with a last read (or, of queues, dequeues until it is empty) by a new process."""
    now_s = max(one.returned_s for one in ops) + 10
    for number, function in enumerate(asks):
        answer = real((function, "x", None))
        ops.append(op(function, None, answer, now_s + number, now_s + number + 0.5, process=999))
    return ops


def history(model: type[Any], seed: int, crash_share: float) -> list[ClientOp]:
    """Some hundred operations on a real object, and its final state."""
    rng, real = Random(seed), Real(model)
    each = rng.randint(1, 25)
    draws = DRAWS[model]
    ops = simulate(rng, unique(draws), real, 4, each, crash_share)
    end = ["dequeue"] * 101 if model is Queue else ["read"]
    # The first of a kind says what it is: a text that nobody appends to is a register.
    first = {Text: "append", Counter: "increment", Set: "add"}.get(model)
    if first and all(one.function != first for one in ops):
        return []
    return with_end(ops, real, *end)


KINDS = [Register, Text, Counter, Set, Queue]


@pytest.mark.parametrize("model", KINDS, ids=lambda model: model.name)
@pytest.mark.parametrize("crash_share", [0.0, 0.1])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_false_alarm(model, crash_share, seed):
    """A real object loses nothing, whatever its clients heard."""
    wrong = [f for f in findings(history(model, seed, crash_share)) if f.holds is False]
    assert not wrong, wrong[0].counterexamples[0].text


W, R = "write", "read"
PLANTED: dict[str, list[list[ClientOp]]] = {
    "lost writes": [
        [op("add", 1, None, 0, 1), op("add", 2, None, 0, 1), op(R, None, (2,), 5, 6)],
        [op(W, 1, None, 0, 1), op(W, 2, None, 2, 3), op(R, None, 1, 5, 6)],
        [op(W, 1, None, 0, 1), op("cas", (1, 2), True, 2, 3), op(R, None, 1, 5, 6)],
        [op("enqueue", 1, None, 0, 1), op("dequeue", None, None, 5, 6)],
        [op("enqueue", 1, None, 0, 1), op("drain", None, (), 5, 6)],
    ],
    "phantom writes": [
        [op(W, 1, None, 0, 1), op(R, None, 9, 5, 6)],
        [op(W, 1, None, 0, 1, "fail"), op(R, None, 1, 5, 6)],
        [op(R, None, 1, 0, 1), op(W, 1, None, 2, 3)],
        [op("add", 1, None, 0, 1), op(R, None, (1, 7), 5, 6)],
        [op("enqueue", 1, None, 0, 1), op("dequeue", None, 7, 5, 6)],
    ],
    "duplicates": [
        [op("enqueue", 1, None, 0, 1), *(op("dequeue", None, 1, n, n + 1) for n in (2, 4))],
        [op("add", 1, None, 0, 1), op(R, None, (1, 1), 5, 6)],
        [op("enqueue", 1, None, 0, 1), op("dequeue", None, 1, 2, 3), op("drain", None, (1,), 4, 5)],
    ],
    "out of order": [
        [
            *(op("enqueue", 1, None, 0, 1), op("enqueue", 2, None, 2, 3)),
            *(op("dequeue", None, 2, 4, 5), op("dequeue", None, 1, 6, 7)),
        ],
    ],
    "lost updates": [
        [op("cas", (None, n), True, n, n + 9, process=n) for n in (1, 2)],
        [op("increment", 1, 1, n, n + 9, process=n) for n in (1, 2)],
        [*(op("increment", 1, None, n, n + 1) for n in (1, 3)), op(R, None, 1, 5, 6)],
        [op("increment", 1, None, 1, 2), op(R, None, 2, 5, 6)],
    ],
    "non-monotonic reads": [
        [
            *(op(W, 1, None, 0, 1), op(W, 2, None, 2, 3)),
            *(op(R, None, 2, 4, 5, process=7), op(R, None, 1, 6, 7, process=7)),
        ],
        [op("add", 1, None, 0, 9), op(R, None, (1,), 1, 2), op(R, None, (), 3, 4)],
        [op("increment", 1, None, 0, 9), op(R, None, 1, 1, 2), op(R, None, 0, 3, 4)],
        [op("append", "a", None, 0, 9), op(R, None, "a", 1, 2), op(R, None, "", 3, 4)],
    ],
    "own writes missed": [
        [op(W, 1, None, 0, 1, process=1), op(W, 2, None, 2, 3), op(R, None, 1, 4, 5)],
        [op("add", 1, None, 0, 1), op(R, None, (), 4, 5)],
    ],
    "bank": [
        [
            op("transfer", ("a", "b", 5), None, 0, 9),
            *(op(R, None, (("a", a), ("b", 5)), n, n + 1) for n, a in ((1, 5), (3, 0))),
        ],
        [
            op("transfer", ("a", "b", 5), None, 0, 9),
            *(op(R, None, (("a", 5 - n), ("b", 5 + n)), n, n + 1) for n in (0, 9)),
        ],
    ],
    "repeated ids": [[op("generate", None, "k7", n, n + 1) for n in (0, 2)]],
}
CASES = [(name, ops) for name, cases in PLANTED.items() for ops in cases]


@pytest.mark.parametrize(("name", "ops"), CASES)
def test_a_planted_wrong_is_found_once(name, ops):
    """In the smallest history that has it; the operations shown are its own."""
    (finding,) = [finding for finding in findings(ops) if finding.name == name]
    assert finding.value == 1
    (example,) = finding.counterexamples
    assert set(example.ops) <= set(ops)
    assert example.wrong
    assert max(example.wrong) < len(example.ops)


@pytest.mark.parametrize(("name", "ops"), CASES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_it_is_not_missed_among_others(name, ops, seed):
    """The same wrong on one object among many that are right."""
    others = [
        one._replace(key=f"{model.name}-{one.key}", process=one.process + 10_000)
        for model in KINDS
        for one in history(model, seed, 0.05)
    ]
    if name == "bank":
        others = [one for one in others if one.function != "read"]
    found = said([*others, *ops])
    assert found[name] == 1


def test_a_stale_read_has_its_age():
    """From the return of the first write it missed to its own beginning; the worst one counts."""
    ops = [op(W, 1, None, 0, 1), op(W, 2, None, 2, 3), op(W, 3, None, 3.5, 4)]
    ops += [op(R, None, 2, 4.25, 5), op(R, None, 1, 5.5, 6), op(R, None, 3, 5, 6)]
    (finding,) = [finding for finding in findings(ops) if finding.name == "stale reads"]
    assert (finding.value, finding.unit, finding.judged) == (2.5, "s", 3)
    assert (
        finding.counterexamples[0].text == "the read missed 2, acknowledged 2.5 s before it began"
    )


def test_a_read_that_overlaps_the_write_is_not_stale():
    """It may have taken effect before."""
    ops = [op(W, 1, None, 0, 1), op(W, 2, None, 2, 4), op(R, None, 1, 3, 5)]
    assert said(ops)["stale reads"] == 0


def test_a_set_is_stale_as_long_as_an_item_is_missing():
    """Acknowledged at 1 s, not there in a read at 3 s."""
    ops = [op("add", 1, None, 0, 1), op(R, None, (), 3, 4), op(R, None, (1,), 5, 6)]
    assert said(ops)["stale reads"] == 2
    assert said(ops)["lost writes"] == 0


def test_what_nobody_heard_of_may_go_either_way():
    """An `info` add is there or not, an `info` dequeue may have taken the item."""
    for there in ((), (1,)):
        ops = [op("add", 1, None, 0, 1, "info"), op(R, None, there, 5, 6)]
        assert said(ops)["phantom writes"] in (0, None)
        assert said(ops)["lost writes"] in (0, None)
    ops = [op("enqueue", n, None, n, n + 1) for n in (1, 2)]
    ops += [op("dequeue", None, None, 4, 5, "info"), op("dequeue", None, None, 6, 7)]
    assert said(ops)["lost writes"] == 1


def test_without_a_final_read_nothing_is_said_about_loss():
    """Unknown, never zero."""
    assert said([op("add", 1, None, 0, 1)])["lost writes"] is None
    assert said([op("enqueue", 1, None, 0, 1)])["lost writes"] is None


def test_only_what_applies_is_judged():
    """A bank has no queue."""
    assert set(said([op("transfer", ("a", "b", 1), None, 0, 1)])) == {"bank"}
    assert set(said([op("generate", None, 1, 0, 1)])) == {"repeated ids"}
    assert {model.name for model in MODELS} >= {model.name for model in KINDS}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_real_bank_keeps_its_money(seed):
    """Transfers that are refused when there is not enough; reads of all accounts at one moment."""
    rng, accounts = Random(seed), dict.fromkeys("abc", 10)
    ops = []
    for at in moments(rng, 4, 20):
        if rng.random() < 0.5:
            source, target, amount = *rng.sample("abc", 2), rng.randint(1, 8)
            done = accounts[source] >= amount
            if done:
                accounts[source] -= amount
                accounts[target] += amount
            asked = ("transfer", (source, target, amount), None, "ok" if done else "fail")
        else:
            asked = ("read", None, tuple(accounts.items()), "ok")
        function, argument, result, outcome = asked
        ops.append(op(function, argument, result, at.invoked_s, at.returned_s, outcome))
    ops.append(op("transfer", ("a", "b", 1), None, 0, 1, "fail"))
    assert said(ops)["bank"] in (0, None)


def test_every_checker_is_planted():
    """Whoever adds one adds a history that it finds wrong."""
    assert set(PLANTED) | {"stale reads"} == set(TRUTHS)
    assert all(truth.summary and truth.needs for truth in TRUTHS.values())
