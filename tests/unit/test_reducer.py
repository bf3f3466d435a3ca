"""The reducer: the state after any number of messages, and where claims stand meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from lab.claims import parse_claim
from lab.live.provisional import claims_at_start, follow
from lab.live.reducer import RunState, reduce, step
from lab.messages import FaultChanged, Message, Noted, PhaseStarted, Second
from lab.record import Record
from tests.unit import records


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


@pytest.fixture(scope="module")
def messages(record: Record) -> list[Message]:
    return list(records.stream(record))


def _until(messages: list[Message], second: int) -> RunState:
    """The state once every design's window of that second is in."""
    last = max(
        i for i, m in enumerate(messages) if isinstance(m, Second) and m.window["t"] == second
    )
    return reduce(messages[: last + 1])


def test_reducing_at_once_and_step_by_step_is_the_same(messages: list[Message]) -> None:
    state = RunState()
    for message in messages:
        state = step(state, message)
    assert state == reduce(messages)
    assert state == reduce(messages[20:], reduce(messages[:20]))


def test_a_step_leaves_the_state_before_it_alone(messages: list[Message]) -> None:
    before = reduce(messages[:30])
    seen = repr(before)
    reduce(messages[30:], before)
    assert repr(before) == seen


def test_before_the_load_it_knows_what_is_waited_for(messages: list[Message]) -> None:
    state = reduce(messages[:3])
    assert not state.running
    assert state.waiting_for == "db-1 healthy, waiting for app-1, app-2"
    assert [line.text for line in state.log] == [
        "6 services starting",
        "db-1 healthy, waiting for app-1, app-2",
    ]
    assert set(state.designs) == set(records.DESIGNS)


def test_the_clock_follows_the_finished_seconds(messages: list[Message]) -> None:
    state = _until(messages, 11)
    assert state.running
    assert (state.phase, state.phase_at_s, state.clock_s) == ("fault", 8, 12)
    assert all(len(design.seconds) == 12 for design in state.designs.values())


def test_a_fault_is_active_from_injection_until_it_is_gone(record: Record) -> None:
    fault = record.faults[0]
    stages = ["before", "injected", "bit", "healed", "gone"]
    active = [reduce([FaultChanged(fault, stage)]).faults["latency"].active for stage in stages]
    assert active == [False, True, True, True, False]


def test_a_fault_that_would_not_heal_stays_active_and_is_a_problem(record: Record) -> None:
    state = reduce([FaultChanged(record.faults[0], "problem")])
    assert state.faults["latency"].active
    assert state.log[-1].level == "problem"


def test_notes_keep_their_level() -> None:
    state = reduce([Noted(3.5, "app-1 died", "problem")])
    assert [(line.at_s, line.text, line.level) for line in state.log] == [
        (3.5, "app-1 died", "problem")
    ]


def test_claims_wait_then_break_or_hold(messages: list[Message]) -> None:
    waiting = {c.status for d in _until(messages, 7).designs.values() for c in d.claims}
    assert waiting == {"waiting", "later"}
    state = _until(messages, 12)
    bare = state.designs[records.DESIGNS[0]].claims[0]
    assert (bare.status, bare.since_s, bare.expected) == ("broken", 8, "as predicted")
    sized = {str(c.claim): c.status for c in state.designs[records.DESIGNS[2]].claims}
    assert sized["ok >= 99% during fault"] == "holding"
    assert sized["p99 < 1s during fault"] == "holding"
    assert sized["recovered within 5s"] == "later"


def test_a_broken_claim_is_told_once(messages: list[Message]) -> None:
    told = [line.text for line in reduce(messages).log if line.level == "claim"]
    assert sorted(told) == [
        "connection-per-request: ok >= 95% during fault broken, as predicted",
        "pool-default: p99 < 1s during fault broken, as predicted",
    ]


def test_what_it_followed_agrees_with_the_verdict(record: Record, messages: list[Message]) -> None:
    state = reduce(messages)
    judged = {(c.design, c.claim): c.true for c in record.verdict.claims}
    followed = [
        (design.name, claim)
        for design in state.designs.values()
        for claim in design.claims
        if claim.status != "later"
    ]
    assert len(followed) == 4
    for name, claim in followed:
        assert judged[name, str(claim.claim)] is (claim.status == "holding")


def test_a_few_bad_operations_within_the_budget_do_not_break_a_claim() -> None:
    what = records.experiment()
    claim = claims_at_start(what, records.DESIGNS[2])[0]
    assert str(claim.claim) == "ok >= 99% during fault"
    seconds = [_window(t, fail=2 if t == 10 else 0) for t in range(14)]
    for count in range(1, 15):
        claim = follow(claim, seconds[:count])
    assert (claim.status, claim.since_s, claim.used) == ("holding", 10, 2)
    assert claim.budget == pytest.approx(6)  # 1 % of 60/s over the 10 s of the trimmed window


def test_a_median_over_its_bound_is_over_at_once_and_broken_when_half_of_all_are_spent() -> None:
    what = records.experiment()
    design = what.designs[records.DESIGNS[2]].model_copy(
        update={"holds": (parse_claim("p50 < 20ms during fault"),)}
    )
    what = what.model_copy(update={"designs": {**what.designs, "median": design}})
    claim = claims_at_start(what, "median")[0]
    seconds = [{**_window(t), "p50": 0.03 if t >= 9 else 0.01} for t in range(20)]
    seen = []
    for count in range(1, 21):
        claim = follow(claim, seconds[:count])
        seen.append((claim.status, claim.over, claim.used))
    assert seen[9] == ("holding", True, 31)  # 31 of 60 are more than half
    assert claim.since_s == 9
    assert claim.status == "broken"


def test_what_a_live_window_counted_is_taken_and_what_is_open_and_late_counts_once() -> None:
    what = records.experiment()
    design = what.designs[records.DESIGNS[2]].model_copy(
        update={"holds": (parse_claim("p50 < 1s during fault"),)}
    )
    what = what.model_copy(update={"designs": {**what.designs, "other": design}})
    claim = claims_at_start(what, "other")[0]
    # 60 a second are sent; those of T+9, T+10 and T+11 s take two seconds: late after one.
    opened = {9: 60, 10: 120, 11: 120, 12: 60}
    slower = {11: 60, 12: 60, 13: 60}
    seconds = []
    for t in range(14):
        ended = 60 + opened.get(t - 1, 0) - opened.get(t, 0)
        window = {**_window(t), "due": ended, "ok": ended, "in_flight": opened.get(t, 0)}
        seconds.append({**window, "slower": {"1": slower.get(t, 0)}})
    seen = []
    for count in range(1, 15):
        claim = follow(claim, seconds[:count])
        seen.append((claim.used, claim.late))
    assert seen[9:] == [(0, 0), (60, 60), (120, 60), (120, 0), (180, 0)]
    assert (claim.status, claim.since_s) == ("holding", 10)
    assert claim.budget == pytest.approx(0.5 * 60 * 10)


def test_bad_seconds_before_the_window_count_for_since_when_only_if_they_lead_into_it() -> None:
    what = records.experiment()
    start = claims_at_start(what, records.DESIGNS[2])[0]
    assert (start.from_s, start.span) == (8, (9, 19))
    for bad, since_s in (((8, 9), 8), ((8, 10), 10), ((7, 9), 9), ((8,), None)):
        claim, seconds = start, [_window(t, fail=30 if t in bad else 0) for t in range(12)]
        for count in range(1, 13):
            claim = follow(claim, seconds[:count])
        assert claim.since_s == since_s, bad


def test_claims_that_compare_with_something_else_wait_for_the_checker() -> None:
    what = records.experiment()
    design = what.designs[records.DESIGNS[2]].model_copy(
        update={
            "holds": tuple(
                parse_claim(text)
                for text in (
                    "p99 < 3x baseline during fault",
                    "p50 of follow < 1s during fault",
                    "p99 < 1s from 40s to 50s",
                )
            )
        }
    )
    other = what.model_copy(update={"designs": {**what.designs, "other": design}})
    assert {claim.status for claim in claims_at_start(other, "other")} == {"later"}


def test_a_phase_without_load_is_not_yet_running() -> None:
    assert not RunState().running
    assert reduce([PhaseStarted("baseline", 0.0)]).running


def _window(second: int, fail: int = 0) -> dict[str, Any]:
    counts = {"due": 60, "ok": 60 - fail, "fail": fail, "info": 0, "in_flight": 1}
    return {"t": second, "p50": 0.01, "p95": 0.02, "p99": 0.03, **counts}
