"""The linearizability checker: against every order there is, and against objects that are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lab.checkers.finding import written
from lab.checkers.linear import (
    MODELS,
    REFUSED,
    GaveUpError,
    Limits,
    Model,
    Search,
    linearizable,
    model_for,
    smallest,
)
from lab.checkers.linear.models import Counter, Mutex, Queue, Register, Set, Text
from lab.history import ClientOp
from tests.unit.simulated import Ask, simulate


def op(function, argument, result, from_s, to_s, outcome="ok", process=0, key="x") -> ClientOp:
    return ClientOp("", process, function, key, argument, result, from_s, to_s, outcome)


def some_order_explains(ops: list[ClientOp], model: Model) -> bool:
    """Every order of every choice of what may have happened: no cleverness at all."""
    certain = [one for one in ops if one.outcome == "ok"]
    maybe = [one for one in ops if one.outcome == "info"]
    for chosen in range(1 << len(maybe)):
        taken = [*certain, *(m for bit, m in enumerate(maybe) if chosen >> bit & 1)]
        if any(_explains(order, model) for order in permutations(taken)):
            return True
    return False


def _explains(order: tuple[ClientOp, ...], model: Model) -> bool:
    state: Any = model.initial
    latest_invoked_s = -math.inf
    for one in order:
        latest_invoked_s = max(latest_invoked_s, one.invoked_s)
        if one.end_s < latest_invoked_s:
            return False
        state = model.step(state, one)
        if state is REFUSED:
            return False
    return True


VALUES = st.integers(0, 2)
ASKS: dict[type[Model], st.SearchStrategy[tuple[str, Any, Any]]] = {
    Register: st.one_of(
        st.tuples(st.just("write"), VALUES, st.none()),
        st.tuples(st.just("read"), st.none(), st.one_of(st.none(), VALUES)),
        st.tuples(st.just("cas"), st.tuples(VALUES, VALUES), st.booleans()),
    ),
    Text: st.one_of(
        st.tuples(st.just("append"), st.sampled_from("ab"), st.none()),
        st.tuples(st.just("write"), st.sampled_from("ab"), st.none()),
        st.tuples(st.just("read"), st.none(), st.sampled_from(["", "a", "b", "ab", "ba", "aa"])),
    ),
    Counter: st.one_of(
        st.tuples(st.just("increment"), st.sampled_from([1, 2, -1]), st.none()),
        st.tuples(st.just("increment"), st.just(1), st.integers(0, 3)),
        st.tuples(st.just("read"), st.none(), st.integers(-1, 4)),
    ),
    Set: st.one_of(
        st.tuples(st.sampled_from(["add", "remove"]), VALUES, st.none()),
        st.tuples(st.just("read"), st.none(), st.lists(VALUES, unique=True).map(tuple)),
    ),
    Queue: st.one_of(
        st.tuples(st.just("enqueue"), VALUES, st.none()),
        st.tuples(st.just("dequeue"), st.none(), st.one_of(st.none(), VALUES)),
    ),
    Mutex: st.tuples(st.sampled_from(["acquire", "release"]), st.none(), st.none()),
}


@st.composite
def tiny(draw, model: type[Model]) -> list[ClientOp]:
    """Up to six operations, with many ties in time."""
    ops = []
    for process in range(draw(st.integers(1, 6))):
        function, argument, result = draw(ASKS[model])
        from_s, for_s = draw(st.integers(0, 5)), draw(st.integers(0, 4))
        outcome = draw(st.sampled_from(["ok", "ok", "ok", "info"]))
        answer = result if outcome == "ok" else None
        who = draw(st.integers(0, 2)) if model is Mutex else process
        ops.append(op(function, argument, answer, from_s, from_s + for_s, outcome, who))
    return sorted(ops, key=lambda one: one.invoked_s)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_it_says_what_every_order_says(model, data):
    """Whole agreement with the brute force, both ways, for every model."""
    ops = data.draw(tiny(model))
    assert Search(ops, model()).run().linearizable == some_order_explains(ops, model())


class Real:
    """An object in memory that does what it is asked, at once."""

    def __init__(self, model: type[Model]) -> None:
        self.model: Any = model()
        self.state: Any = self.model.initial

    def __call__(self, ask: Ask) -> Any:
        function, key, argument = ask
        before = self.state
        silent = op(function, argument, None, 0, 0, "info", key=key)
        match function:
            case "read":
                return self.model.describe(before)
            case "dequeue":
                answer = before[0] if before else None
            case "cas":
                answer = before == argument[0]
            case _:
                answer = None
        self.state = self.model.step(before, silent)
        return answer


def _ask(function: str, argument: Callable[[Random, int], Any]) -> Callable[[Random, int], Ask]:
    return lambda rng, number: (function, "x", argument(rng, number))


READ = _ask("read", lambda *_: None)
DRAWS: dict[type[Model], list[Callable[[Random, int], Ask]]] = {
    Register: [
        READ,
        _ask("write", lambda rng, _number: rng.randrange(4)),
        _ask("cas", lambda rng, _number: (rng.randrange(4), rng.randrange(4))),
    ],
    Text: [
        *(READ, READ, READ),
        *3 * [_ask("append", lambda _rng, number: f"{number} ")],
        _ask("write", lambda _rng, number: f"{number} "),
    ],
    Counter: [READ, _ask("increment", lambda rng, _number: rng.choice([1, 2, -1]))],
    Set: [
        READ,
        _ask("add", lambda _rng, number: number),
        _ask("remove", lambda rng, number: rng.randrange(number + 1)),
    ],
    Queue: [_ask("enqueue", lambda _rng, number: number), _ask("dequeue", lambda *_: None)],
}


def real_history(model: type[Model], seed: int, crash_share: float) -> list[ClientOp]:
    """Up to 100 operations of 4 clients on a real object."""
    rng = Random(seed)
    draws = DRAWS[model]
    return simulate(
        rng, lambda r, n: r.choice(draws)(r, n), Real(model), 4, rng.randint(1, 25), crash_share
    )


@pytest.mark.parametrize("model", DRAWS, ids=lambda model: model.name)
@pytest.mark.parametrize("crash_share", [0.0, 0.04])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_false_alarm(model, crash_share, seed):
    """What a real object did is linearizable, whatever its clients heard of it."""
    ops = real_history(model, seed, crash_share)
    assume(isinstance(model_for(ops), model))  # a text that nobody appends to is a register
    finding = linearizable(ops, Limits(configurations=200_000))
    assert finding.holds is not False, finding.counterexamples[0].text
    assert finding.holds is True or crash_share or "not enough" in finding.reason


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_stale_read_is_missed(seed):
    """A read that answers what was overwritten before it began, in a long history."""
    rng = Random(seed)
    ops = simulate(
        rng, lambda r, n: r.choice(DRAWS[Register][:1] * 2 + [_unique])(r, n), Real(Register), 5, 40
    )
    last_s = max(one.returned_s for one in ops)
    stale = [
        op("write", "old", None, last_s + 1, last_s + 2, process=90),
        op("write", "new", None, last_s + 3, last_s + 4, process=91),
        op("read", None, "old", last_s + 5, last_s + 6, process=92),
    ]
    after = [
        one._replace(invoked_s=one.invoked_s + last_s + 10, returned_s=one.returned_s + last_s + 10)
        for one in ops
    ]
    if after[0].function == "read":
        after = [op("write", after[0].result, None, last_s + 7, last_s + 8), *after]
    finding = linearizable([*ops, *stale, *after])
    assert finding.value == 1
    (example,) = finding.counterexamples
    assert [written(one) for one in example.ops] == ["write x new", "read x → old"]
    assert example.wrong == (1,)
    assert "could only be new then" in example.text


_unique = _ask("write", lambda _rng, number: number)


def test_objects_are_judged_one_by_one():
    """The broken one is named, the others count as judged."""
    ops = [op("write", 1, None, 0, 1, key=key) for key in "abc"]
    ops += [op("read", None, None if key == "b" else 1, 2, 3, key=key) for key in "abc"]
    finding = linearizable(ops)
    assert (finding.value, finding.judged) == (1, 3)
    assert finding.counterexamples[0].text.startswith("`read b → nothing`")


def test_too_much_to_search_is_unknown():
    """Neither right nor wrong, with the limit as the reason."""
    ops = [op("append", f"{n}", None, 0, 1000, process=n) for n in range(40)]
    ops += [op("write", "z", None, 500 + n, 501 + n, process=50) for n in range(3)]
    ops.append(op("read", None, "never", 900, 2000, process=60))
    finding = linearizable(ops, Limits(configurations=20_000))
    assert (finding.value, finding.holds) == (None, None)
    assert "20,224 configurations" in finding.reason


def test_time_is_a_limit_too():
    """A search that has no time left gives up at its next look at the clock."""
    ops = [op("append", f"{n}", None, 0, 1000, process=n) for n in range(40)]
    ops.append(op("read", None, "never", 900, 2000, process=60))
    with pytest.raises(GaveUpError, match="0 s were not enough"):
        Search(ops, Queue() if ops[0].function == "enqueue" else _Slow()).run(Limits(seconds=0))


class _Slow(Text):
    """The text model without its short cut."""

    grows = False


def test_nothing_recorded_is_unknown():
    """No operation at all proves nothing."""
    assert linearizable([]).holds is None
    assert linearizable([op("write", 1, None, 0, 1, "fail")]).holds is None


def test_operations_of_no_model_are_unknown():
    """A history of something else is not called right."""
    finding = linearizable([op("transfer", ("a", "b", 5), None, 0, 1)])
    assert finding.holds is None
    assert "no model knows transfer" in finding.reason


@settings(max_examples=100, deadline=None)
@given(data=st.data(), model=st.sampled_from([Register, Text, Counter, Set, Queue]))
def test_a_counterexample_is_a_contradiction_of_its_own(model, data):
    """Its operations are the history's, and no order of them exists from any state it had."""
    ops = data.draw(tiny(model))
    judge = model()
    search = Search(ops, judge)
    if search.run().linearizable:
        return
    small = smallest(ops, judge)
    assert set(small.ops) <= set(ops)
    assert small.wrong in small.ops
    assert not Search(small.ops, judge).run().linearizable


def test_the_model_is_told_by_the_functions():
    """Reads alone fit many; what else is asked decides."""
    assert isinstance(model_for([op("read", None, 1, 0, 1)]), Register)
    assert isinstance(
        model_for([op("read", None, 1, 0, 1), op("increment", 1, None, 0, 1)]), Counter
    )
    assert model_for([op("read", None, 1, 0, 1), op("enqueue", 1, None, 0, 1)]) is None
