"""How each design fares, in words: what a stranger reads first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.claims import parse_claim
from lab.live.reducer import DesignState, RunState, reduce
from lab.live.screen import so_far
from lab.live.story import answer, claim_words, headline, now, story
from lab.messages import FaultChanged, Guessed, Hello, Message, PhaseStarted, Progress, Second
from lab.plan import deploy
from lab.record import Record
from tests.unit import records, streams

BARE, DEFAULT, SIZED = records.DESIGNS


@pytest.fixture(scope="module")
def record() -> Record:
    return streams.record()


@pytest.fixture(scope="module")
def messages(record: Record) -> list[Message]:
    return list(streams.messages(record))


def _until(messages: list[Message], second: int) -> RunState:
    """The state once every design's window of that second is in."""
    last = max(
        i for i, m in enumerate(messages) if isinstance(m, Second) and m.window["t"] == second
    )
    return reduce(messages[: last + 1])


def test_while_it_starts_it_says_what_is_waited_for(messages: list[Message]) -> None:
    assert headline(RunState()) == ("unknown", "Starting", "asking the engine")
    assert headline(reduce(messages[:3]))[2] == "db-1 healthy, waiting for app-1, app-2"


def test_before_the_fault_it_counts_down(messages: list[Message]) -> None:
    state = _until(messages, 4)
    assert headline(state) == (
        "good", "All 3 designs are healthy", "⚡ latency 200 ms on app -> db in 3 s.",
    )  # fmt: skip
    assert {story(state, name).state for name in records.DESIGNS} == {"healthy"}


def test_in_the_fault_it_says_who_fails_since_when_because_of_what_and_who_holds(
    messages: list[Message],
) -> None:
    tone, bold, rest = headline(_until(messages, 14))
    assert tone == "bad"
    assert bold == f"{BARE} and {DEFAULT} are failing since T+8 s"
    assert rest == (f"⚡ because of latency 200 ms on app -> db, since T+8 s. {SIZED} holds.")


def test_each_design_has_its_own_story(messages: list[Message]) -> None:
    state = _until(messages, 14)
    assert str(story(state, BARE)) == "✗ failing since T+8 s"
    assert str(story(state, DEFAULT)) == "✗ failing since T+10 s"
    held = story(state, SIZED)
    assert (held.state, held.tone) == ("holding", "good")
    assert held.words.startswith("holding, slow: p50 2")


def test_after_the_heal_it_says_when_each_one_recovered(messages: list[Message]) -> None:
    state = _until(messages, 32)
    bare, default = story(state, BARE), story(state, DEFAULT)
    assert bare.state == default.state == "recovered"
    assert bare.recovered_s is not None
    assert default.recovered_s is not None
    assert bare.recovered_s <= 22
    assert 23 <= default.recovered_s <= 26
    tone, bold, rest = headline(state)
    assert (tone, bold) == ("unknown", "Recovered")
    assert f"{BARE} failed T+8 s, recovered" in rest
    assert rest.endswith("Every fault is gone.")


def test_the_last_second_in_numbers(messages: list[Message]) -> None:
    state = _until(messages, 14)
    assert "http 500" in now(state.designs[BARE])
    assert now(state.designs[DEFAULT]).endswith("every second.")
    assert now(RunState().designs.get(BARE) or reduce(messages[:1]).designs[BARE]) == ""


def test_nothing_open_does_not_grow_less() -> None:
    windows = [{**_window(t), "in_flight": 29 * (5 - t)} for t in range(6)]
    told = DesignState("a", seconds=tuple(windows))
    assert now(told) == "60 requests ended: 60 ok; 0 open."
    assert now(replace(told, seconds=told.seconds[:5])) == "60 requests ended: 60 ok; 29 open."
    fewer = [{**_window(t), "in_flight": 100 - 10 * t} for t in range(6)]
    assert now(DesignState("a", seconds=tuple(fewer))).endswith("; 50 open, −10 every second.")


def test_a_design_without_claims_to_follow_is_told_by_its_symptoms(record: Record) -> None:
    what = record.experiment
    later = {
        name: design.model_copy(update={"breaks": (), "holds": design.pays or design.holds[-1:]})
        for name, design in what.designs.items()
    }
    what = what.model_copy(update={"designs": later})
    hello = Hello(what, deploy(what), "local", "as asked", "1", 1)
    fault = replace(record.faults[0], healed_s=None, gone_s=None)
    start: list[Message] = [hello, PhaseStarted("baseline", 0.0)]
    start += [Second(DEFAULT, _window(t)) for t in range(8)]
    start += [PhaseStarted("fault", 8.0), FaultChanged(fault, "bit")]
    slow = reduce([*start, Second(DEFAULT, _window(8, p50=1.2))])
    assert str(story(slow, DEFAULT)) == "! slow: p50 1.2 s"
    some = reduce([*start, Second(DEFAULT, _window(8, fail=12))])
    assert str(story(some, DEFAULT)) == "! 20 % fail"
    most = [Second(DEFAULT, _window(t, fail=40)) for t in (8, 9)]
    assert str(story(reduce([*start, *most]), DEFAULT)) == "✗ failing since T+8 s"
    well = reduce([*start, Second(DEFAULT, _window(8))])
    assert str(story(well, DEFAULT)) == "✓ no harm seen"


def _median_claim(record: Record, seconds: list[dict[str, Any]]) -> RunState:
    """A design that claims `p50 < 1s during fault`, after a healthy baseline and these seconds."""
    what = record.experiment
    claims = {"breaks": (parse_claim("p50 < 1s during fault"),), "holds": ()}
    slow = what.designs[DEFAULT].model_copy(update=claims)
    what = what.model_copy(update={"designs": {DEFAULT: slow}})
    fault = replace(record.faults[0], healed_s=None, gone_s=None)
    told: list[Message] = [Hello(what, deploy(what), "local", "as asked", "1", 1)]
    told += [PhaseStarted("baseline", 0.0), *(Second(DEFAULT, _window(t)) for t in range(8))]
    told += [PhaseStarted("fault", 8.0), FaultChanged(fault, "bit")]
    return reduce([*told, *(Second(DEFAULT, window) for window in seconds)])


def test_a_median_far_over_its_bound_is_failing_and_never_green(record: Record) -> None:
    """What the showcase's own queue does: half of the requests end, all of them late."""
    seconds = [{**_window(t, p50=5.0), "p95": 6.0, "p99": 6.0} for t in range(8, 24)]
    for count in range(1, len(seconds) + 1):
        state = _median_claim(record, seconds[:count])
        told = story(state, DEFAULT)
        assert (told.state, told.tone) != ("holding", "good"), told
        if 2 <= count <= 11:
            assert str(told) == "✗ failing since T+8 s"
            assert headline(state)[1] == f"{DEFAULT} is failing since T+8 s"
            assert claim_words(state.designs[DEFAULT].claims[0])[0] == "bad"
            assert so_far(state, DEFAULT).plain.startswith("✗ failing since T+8 s")


def test_a_second_that_says_more_than_its_bound_is_not_green_beside_the_window_either(
    record: Record,
) -> None:
    late = [_window(t) for t in range(8, 19)] + [_window(19, p50=3.5)]
    told = story(_median_claim(record, late), DEFAULT)
    assert (str(told), told.tone) == ("! slow: p50 3.5 s", "unknown")


def test_a_design_that_answers_nothing_at_all_fails_by_what_it_leaves_open(record: Record) -> None:
    """No second has a latency; but what is open and older than the bound is late already."""
    quiet = {"due": 0, "ok": 0, "p50": None, "p95": None, "p99": None, "slower": {"1": 0}}
    stalled = [{**_window(t), **quiet, "in_flight": 60 * (t - 7)} for t in range(8, 20)]
    early = [{**_window(t), "slower": {"1": 0}} for t in range(8)]
    state = _median_claim(record, [])
    state = reduce([Second(DEFAULT, w) for w in stalled], _with_seconds(state, early))
    claim = state.designs[DEFAULT].claims[0]
    assert (claim.status, claim.since_s) == ("broken", 9)
    assert str(story(state, DEFAULT)) == "✗ failing since T+9 s"


def _with_seconds(state: RunState, seconds: list[dict[str, Any]]) -> RunState:
    design = replace(state.designs[DEFAULT], seconds=tuple(seconds))
    return replace(state, designs={**state.designs, DEFAULT: design})


def test_a_fault_that_shows_no_effect_is_said_aloud(record: Record) -> None:
    dull = replace(record.faults[0], during="round trip 0.4 ms", bit=False, healed_s=None)
    what = record.experiment
    start: list[Message] = [
        Hello(what, deploy(what), "docker", "as asked", "1", 1),
        PhaseStarted("baseline", 0.0),
        FaultChanged(dull, "bit"),
    ]
    state = reduce([*start, *(Second(name, _window(9)) for name in records.DESIGNS)])
    tone, bold, rest = headline(state)
    assert (tone, bold) == ("unknown", "The fault shows no effect")
    assert rest.startswith("latency 200 ms on app -> db: measured round trip 0.4 ms.")
    assert (state.log[-1].level, state.log[-1].text.split(": ")[1]) == ("problem", "NO EFFECT SEEN")


def test_a_guess_counts_before_the_fault_only_and_is_answered_at_the_end(
    messages: list[Message],
) -> None:
    early = [*messages[:20], Guessed(1.0, BARE, "breaks"), Guessed(1.0, SIZED, "breaks")]
    state = reduce([*early, *messages[20:]])
    assert answer(state, BARE) == ("good", "you said it breaks: it broke ✓")
    assert answer(state, SIZED) == ("bad", "you said it breaks: it held ✗")
    assert answer(state, DEFAULT) == ("unknown", "no guess")
    middle = _until(messages, 12)
    assert not middle.may_guess
    late = reduce([Guessed(12.0, BARE, "breaks")], middle)
    assert late.designs[BARE].guess is None


def test_a_guess_about_a_design_that_does_not_exist_changes_nothing(
    messages: list[Message],
) -> None:
    before = reduce(messages[:10])
    assert reduce([Guessed(1.0, "<script>", "holds"), Progress("x")], before).designs == (
        before.designs
    )


def _window(second: int, fail: int = 0, p50: float = 0.01) -> dict[str, Any]:
    counts = {"due": 60, "ok": 60 - fail, "fail": fail, "info": 0, "in_flight": 1}
    return {"t": second, "p50": p50, "p95": p50, "p99": p50, **counts}
