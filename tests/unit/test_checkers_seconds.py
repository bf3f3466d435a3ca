"""The run second by second, and the judgement as a whole."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checkers import Facts, check, check_claims, live_window, per_second
from lab.claims import LATENCY, parse_claim
from lab.errors import ExitCode
from lab.history import History, Op, dump_lines, load_lines
from lab.verdict import Guard, Status
from tests.unit.checkers_runs import experiment, healthy, op, record, sick_in_fault, steady

_ops = st.lists(
    st.builds(
        op,
        st.integers(0, 140).map(lambda quarters: quarters / 4),
        st.integers(0, 12).map(lambda quarters: quarters / 4),
        st.sampled_from(["ok", "fail", "info"]),
        attempts=st.integers(1, 4),
    ),
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(ops=_ops)
def test_windows_add_up(ops: list[Op]) -> None:
    """Every operation due during the load is in exactly one second, with its outcome."""
    rows = per_second(experiment(), History(ops), "naive")
    due = [o for o in ops if o.due_s < 35]
    assert [row["t"] for row in rows] == list(range(35))
    assert sum(row["due"] for row in rows) == len(due)
    for row in rows:
        inside = [o for o in due if math.floor(o.due_s) == row["t"]]
        assert row["due"] == row["ok"] + row["fail"] + row["info"] == len(inside)
        assert row["attempts"] == sum(o.attempts for o in inside)
        assert (row["p50"] is None) is (not inside)
        moments = [row["t"], *(o.due_s for o in inside)]
        assert row["in_flight"] == max(sum(o.due_s <= t < o.done_s for o in ops) for t in moments)
        if inside:
            latencies = [o.latency_s for o in inside]
            assert row["p50"] <= row["p95"] <= row["p99"] <= max(latencies)
            assert row["p99"] in latencies


def test_other_designs_are_not_in_it() -> None:
    """Each design has windows of its own."""
    rows = per_second(experiment(), History(steady(healthy)), "sturdy")
    assert {row["due"] for row in rows} == {0}
    assert {row["p99"] for row in rows} == {None}


def test_live_window_has_the_same_keys() -> None:
    """The live view's second looks like the report's, with what the driver says is in flight."""
    finished = [op(3.2, 0.5), op(1.0, 3.0, "info", attempts=3)]
    window = live_window(4.002, {"in_flight": 17}, finished, (0.3, 1.0))
    settled = per_second(experiment(), History(finished), "naive")[3]
    assert window.keys() == {*settled.keys(), "slower"}
    assert window["slower"] == {"0.3": 2, "1": 1}
    assert (window["t"], window["due"], window["info"], window["in_flight"]) == (3, 2, 1, 17)
    assert window["attempts"] == 4
    json.dumps(window)


def test_a_good_run_is_as_predicted() -> None:
    """Everything earned and every claim as predicted is exit code 0, with its sentences."""
    judged = check(record(why="{ok during fault} ok", requires=["errors > 50% during fault"]))
    assert judged.verdict.status is Status.AS_PREDICTED
    assert judged.exit_code is ExitCode.AS_PREDICTED
    assert judged.whys == {"naive": "0 % ok"}
    assert judged.verdict.reasons == ()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"holds": ["ok < 99%"]}, Status.NOT_AS_PREDICTED),
        ({"breaks": ["ok < 99% during fault"]}, Status.NOT_AS_PREDICTED),
        ({"pays": ["max > 1s"]}, Status.NOT_AS_PREDICTED),
        ({"pays": ["peak(queue) > 0"]}, Status.UNKNOWN),
        ({"requires": ["errors < 50% during fault"]}, Status.UNKNOWN),
        ({"faults": ()}, Status.UNKNOWN),
        ({"lags": {}}, Status.UNKNOWN),
        ({"holds": ["ok < 99%"], "links": {}}, Status.UNKNOWN),
    ],
)
def test_one_change_changes_the_verdict(changes: dict[str, object], status: Status) -> None:
    """A flipped claim is not as predicted; a guard unmet is unknown, whatever the claims say."""
    judged = check(record(**changes))
    assert judged.verdict.status is status
    assert judged.exit_code is not ExitCode.AS_PREDICTED
    assert judged.verdict.reasons


def test_judging_again_gives_the_same() -> None:
    """A judgement does not depend on an earlier one, nor on the way through the disk."""
    once = check(record(why="{p90 during fault}"))
    assert check(once) == once
    history = load_lines(dump_lines([*once.history.events, *once.history.ops]))
    again = check(replace(once, history=history))
    assert again.verdict == once.verdict
    assert again.whys == once.whys


def test_what_outranks_the_verdict() -> None:
    """A fault that did not heal outranks every verdict, and still does when judged again."""
    more = [Guard("nothing went wrong", met=False, detail="the toxic is still there")]
    judged = check(record(), more, ExitCode.HEALING_INCOMPLETE)
    assert judged.exit_code is ExitCode.HEALING_INCOMPLETE
    assert more[0] in judged.verdict.guards
    assert check(judged).exit_code is ExitCode.HEALING_INCOMPLETE
    assert check(record(), more, None).exit_code is ExitCode.UNKNOWN


def test_guards_known_twice_are_said_once() -> None:
    """A guard that the runner and the record both tell of appears once."""
    run = replace(record(), interrupted="stopped from outside")
    judged = check(run, [Guard("ran to its end", met=False, detail="stopped from outside")])
    assert [g.name for g in judged.verdict.guards].count("ran to its end") == 1


def test_many_claims_cost_little_more_than_one() -> None:
    """Thirty claims over 100,000 operations read them from one index, not thirty times over.

    Counted in accesses to operations, which no machine's speed changes: one claim over one
    window needs each of its operations twice; thirty must not need thirty times that.
    """
    ops = [_Counted(*op(n * 35 / 100_000)) for n in range(100_000)]
    texts = [f"{name} < 1s during {phase}" for name in LATENCY for phase in ("fault", "recovery")]
    texts += [f"ok >= {share}% during fault" for share in range(84, 100)]
    assert len(texts) == 30
    _Counted.reads = 0
    claims = tuple(parse_claim(text) for text in texts)
    results = check_claims(Facts(experiment(holds=claims), History(_as_sturdy(ops))))
    assert all(result.true for result in results if result.side == "holds")
    whole_scans = _Counted.reads / len(ops)
    assert 1 < whole_scans < 8


class _Counted(Op):
    """An operation that counts how often its fields are read."""

    reads = 0

    def __getattribute__(self, name: str) -> object:
        if name == "due_s":
            _Counted.reads += 1
        return super().__getattribute__(name)


def _as_sturdy(ops: list[Op]) -> list[Op]:
    return [_Counted(*o._replace(design="sturdy")) for o in ops]


def test_sick_design_shows_in_its_seconds() -> None:
    """The seconds of the fault are those in which nothing is ok."""
    rows = per_second(experiment(), History(steady(sick_in_fault)), "naive")
    assert [row["t"] for row in rows if row["ok"] == 0] == list(range(10, 22))
