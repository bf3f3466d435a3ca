"""Each measure of the clients' history against its definition, written again the slow way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checkers import Facts, Measured, measure, written
from lab.checkers.measures import PER_MILLE, quantile
from lab.claims import Measure, Window, parse_measure
from lab.history import Op
from lab.record import Cost
from tests.unit.checkers_runs import facts, healthy, op, sick_in_fault, steady

# Quarters of a second are exact in binary, so ends of windows are hit often and exactly.
_quarters = st.integers(0, 35 * 4).map(lambda quarters: quarters / 4)
_ops = st.lists(
    st.builds(
        op,
        _quarters,
        st.integers(0, 12).map(lambda quarters: quarters / 4),
        st.sampled_from(["ok", "ok", "fail", "info"]),
        request=st.sampled_from(["get", "put"]),
        attempts=st.integers(1, 4),
    ),
    max_size=60,
)
_windows = st.tuples(_quarters, _quarters).map(sorted).filter(lambda w: w[1] - w[0] >= 1)


def _value(text: str, known: Facts, design: str = "naive") -> Measured:
    return measure(*parse_measure(text), design, known)


def _brute_quantile(latencies: list[float], per_mille: int) -> float | None:
    """The smallest value such that at least that share of all are not above it."""
    if len(latencies) * (1000 - per_mille) < 1000:
        return None
    for value in sorted(latencies):
        if sum(other <= value for other in latencies) * 1000 >= len(latencies) * per_mille:
            return value
    raise AssertionError


def _brute(name: str, ops: list[Op], start_s: float, end_s: float) -> float | None:
    """A measure straight from its sentence in the documentation; None where there is none."""
    due = [o for o in ops if start_s <= o.due_s < end_s]
    ended = [o for o in ops if start_s <= o.done_s < end_s]
    latencies = [o.done_s - o.due_s for o in due]
    ok = [o for o in due if o.outcome == "ok"]
    if name in PER_MILLE:
        return _brute_quantile(latencies, PER_MILLE[name])
    if name in ("goodput", "throughput", "in_flight"):
        edges = [start_s, *(o.due_s for o in due)]
        most = max(sum(o.due_s <= t < o.done_s for o in ops) for t in edges)
        if not (due or ended or most):
            return None
        good = sum(o.outcome == "ok" for o in ended)
        rates = {"goodput": good, "throughput": len(ended)}
        return most if name == "in_flight" else rates[name] / (end_s - start_s)
    if not due:
        return None
    bad = {
        math.floor(o.due_s - start_s) for o in due if o.outcome != "ok" or o.done_s - o.due_s > 1.0
    }
    return {
        "max": lambda: max(latencies),
        "mean": lambda: sum(latencies) / len(due),
        "ok": lambda: len(ok) / len(due),
        "errors": lambda: 1 - len(ok) / len(due),
        "within(1s)": lambda: sum(o.done_s - o.due_s <= 1.0 for o in ok) / len(due),
        "offered": lambda: len(due) / (end_s - start_s),
        "attempts": lambda: sum(o.attempts for o in due) / len(due),
        "bad_seconds(1s)": lambda: len([s for s in bad if s < math.floor(end_s - start_s)]),
    }[name]()


_NAMES = [
    *PER_MILLE, "max", "mean", "ok", "errors", "within(1s)", "goodput", "throughput", "offered",
    "attempts", "in_flight", "bad_seconds(1s)",
]  # fmt: skip


@pytest.mark.parametrize("name", _NAMES)
@settings(max_examples=60, deadline=None)
@given(ops=_ops, window=_windows)
def test_measure_is_its_definition(name: str, ops: list[Op], window: list[float]) -> None:
    """Every measure, over any history and window, equals its definition computed the slow way."""
    start_s, end_s = window
    found = _value(f"{name} from {start_s}s to {end_s}s", facts(ops))
    expected = _brute(name, ops, start_s, end_s)
    assert found.value == (None if expected is None else pytest.approx(expected))
    assert (found.value is None) == bool(found.reason)


@settings(max_examples=60, deadline=None)
@given(ops=_ops)
def test_of_request_looks_at_that_request_only(ops: list[Op]) -> None:
    """`of put` measures as if the other requests had never been."""
    puts = [o for o in ops if o.request == "put"]
    for name in ("max", "ok", "goodput", "in_flight"):
        assert _value(f"{name} of put", facts(ops)) == _value(name, facts(puts))


@settings(max_examples=60, deadline=None)
@given(ops=_ops)
def test_other_designs_do_not_count(ops: list[Op]) -> None:
    """What another design does changes nothing."""
    others = [o._replace(design="sturdy") for o in ops]
    assert _value("ok", facts(ops)) == _value("ok", facts([*ops, *others]))
    assert _value("max", facts(others)).value is None


@pytest.mark.parametrize(
    ("name", "enough"), [("p50", 2), ("p90", 10), ("p95", 20), ("p99", 100), ("p99.9", 1000)]
)
def test_quantile_needs_an_operation_beyond_it(name: str, enough: int) -> None:
    """With one operation too few there is no quantile but a reason; with just enough there is."""
    ops = [op(5 + number / 1000, (number + 1) / 1000) for number in range(enough)]
    measured = _value(f"{name} from 0s to 10s", facts(ops))
    assert measured.value == pytest.approx((enough - 1) / 1000)
    assert measured.samples == enough
    unmeasured = _value(f"{name} from 0s to 10s", facts(ops[1:]))
    assert unmeasured.value is None
    assert f"needs {enough}" in unmeasured.reason


def test_quantile_is_exact_where_floats_are_not() -> None:
    """Nearest rank in whole numbers: the 990th of 1,000, the 999th of 1,000, the 1st of 1."""
    ordered = [float(number) for number in range(1, 1001)]
    assert [quantile(ordered, share) for share in PER_MILLE.values()] == [500, 900, 950, 990, 999]
    assert quantile([7.0], 999) == 7.0


def test_timeouts_count_with_the_time_they_took() -> None:
    """Latency is that of all operations: leaving the failed out would make a sick system fast."""
    ops = [op(5 + n / 100, 3.0, "info") if n % 2 else op(5 + n / 100) for n in range(100)]
    assert _value("p90 from 4s to 7s", facts(ops)).value == pytest.approx(3.0)


def test_bad_seconds_are_whole_seconds() -> None:
    """Two failures in one second are one bad second; the rest after the last whole one is none."""
    ops = [op(5.2, outcome="fail"), op(5.9, 3.0), op(6.1, 1.0), op(7.3, outcome="info")]
    assert _value("bad_seconds(1s) from 5s to 8s", facts(ops)).value == 2
    assert _value("bad_seconds(1s) from 5s to 7.5s", facts(ops)).value == 1


def test_goodput_counts_where_operations_end() -> None:
    """A queue that drains in a window brings more goodput than is offered there."""
    ops = [op(5 + n / 10, 10 - n / 10) for n in range(50)] + steady(healthy)
    known = facts(ops)
    assert _value("goodput from 15s to 16s", known).value == pytest.approx(60)
    assert _value("offered from 15s to 16s", known).value == pytest.approx(10)


def test_recovered_at_once() -> None:
    """A system that never was sick recovers in no time."""
    measured = _value("recovery", facts(steady(healthy)))
    assert measured.value == 0
    assert written(measured.value, Measure("recovery")) == "at once"


def test_recovered_after_a_while() -> None:
    """Two sick seconds are a recovery of 2 s, not of 1.9 s: one bad of ten is too many."""
    measured = _value("recovery", facts(steady(sick_in_fault)))
    assert measured.value == pytest.approx(2.0)
    assert written(measured.value, Measure("recovery")) == "2 s"


def test_recovery_wants_three_good_seconds_in_a_row() -> None:
    """A good second between bad ones is luck, and does not count as recovered."""

    def answer(due_s: float) -> tuple[float, str]:
        return (1.0, "fail") if 10 <= due_s < 22 or 24 <= due_s < 25 else (0.01, "ok")

    assert _value("recovery", facts(steady(answer))).value == pytest.approx(5.0)


def test_recovery_wants_the_old_speed() -> None:
    """Answers that are all ok but ten times slower than before are not recovered."""

    def answer(due_s: float) -> tuple[float, str]:
        return (0.1 if 10 <= due_s < 28 else 0.01), "ok"

    # From 27.5 s on half of a second's operations are fast, and the median is.
    assert _value("recovery", facts(steady(answer))).value == pytest.approx(7.5)


def test_recovery_forgives_a_few_milliseconds() -> None:
    """A median of 10 ms that becomes 25 ms is a busy laptop, not a system that is sick."""
    assert _value("recovery", facts(steady(lambda t: (0.025 if t > 15 else 0.01, "ok")))).value == 0


def test_never_recovered() -> None:
    """A system that stays down recovers never, which is more than any bound."""
    measured = _value("recovery", facts(steady(lambda t: (1.0, "ok" if t < 10 else "fail"))))
    assert measured.value == math.inf
    assert written(measured.value, Measure("recovery")) == "never"


def test_seconds_without_operations_are_not_recovered() -> None:
    """Silence proves nothing: a load that stops after the fault shows no recovery."""
    assert _value("recovery", facts(steady(healthy, until_s=20.5))).value == math.inf
    assert _value("recovery", facts(steady(healthy, until_s=20))).value is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("recovery of recovery", "less than one second"),
        ("recovery of nowhere", "no phase"),
        ("recovery of put", "no phase"),
    ],
)
def test_recovery_unmeasured(text: str, why: str) -> None:
    """Without anything after the phase, or without the phase, there is a reason and no number."""
    measured = _value(text, facts(steady(healthy)))
    assert measured.value is None
    assert why in measured.reason


def test_recovery_needs_a_baseline() -> None:
    """With nothing to compare with nobody can say that it is as before."""
    measured = _value("recovery", facts([o for o in steady(healthy) if o.due_s > 10]))
    assert measured.value is None
    assert "baseline" in measured.reason


def test_costs() -> None:
    """Costs are of the whole run, and what the engine could not read is not zero."""
    known = facts(costs={"naive": Cost(3, 7.0, 2.0**20, 2000), "sturdy": Cost(0, 0.0, 0.0, 0)})
    assert _value("cpu", known).value == pytest.approx(3.5)
    assert _value("memory", known).value == 2**20
    assert _value("containers", known).value == 3
    for name in ("cpu", "memory", "containers"):
        assert _value(name, known, "sturdy").value is None
        assert "nothing was measured" in _value(name, facts()).reason
        assert measure(Measure(name), Window("fault"), "naive", known).value is None


def test_written_with_units() -> None:
    """Every unit is written as people write it."""
    texts = [
        written(value, Measure(name))
        for name, value in [
            ("p99", 0.35), ("ok", 0.534), ("goodput", 97.2), ("memory", 2.0**20),
            ("attempts", 3.417), ("p99", None),
        ]
    ]  # fmt: skip
    assert texts == ["350 ms", "53.4 %", "97.2/s", "1 MiB", "3.42", "?"]
