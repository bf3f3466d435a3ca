"""Where a claim looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lab.checkers import Facts, measure
from lab.checkers.windows import (
    WindowError,
    as_it_went,
    baseline_span,
    first_fault_s,
    span_of,
)
from lab.claims import Measure, Window, parse_claim, parse_measure
from lab.experiment import ScheduledFault
from lab.history import History
from lab.record import FaultRecord
from tests.unit.checkers_runs import SlowLink, experiment, steady


def _window(text: str) -> Window:
    return parse_claim(f"ok > 1% {text}").window


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("", (1, 34)),
        ("during baseline", (1, 9)),
        ("during fault", (11, 19)),
        ("during slow-db", (11, 19)),
        ("from 3s to 5.5s", (3, 5.5)),
        ("from fault to fault.end", (10, 20)),
        ("from fault.end+5s to recovery.end", (25, 35)),
        ("from slow-db+500ms to fault.end-1s", (10.5, 19)),
    ],
)
def test_window_in_seconds(text: str, span: tuple[float, float]) -> None:
    """Phases, faults and the whole run are trimmed at both edges; written moments are not."""
    assert span_of(_window(text), experiment()) == pytest.approx(span)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("during nowhere", "no phase or fault"),
        ("from nowhere to 5s", "no phase or fault"),
        ("from 5s to 5s", "empty"),
        ("from 5s to 3s", "empty"),
        ("during blink", "trimmed"),
        ("from fault.end to fault.end+16s", "leaves the load"),
        ("from baseline-1s to 5s", "leaves the load"),
    ],
)
def test_window_that_does_not_exist(text: str, why: str) -> None:
    """A window that is empty or outside the load is an error with its reason, never a number."""
    blink = ScheduledFault(fault=SlowLink(), at_s=12, for_s=0.7, name="blink")
    with pytest.raises(WindowError, match=why):
        span_of(_window(text), experiment(faults=(blink,)))


def test_trim_is_the_experiments() -> None:
    """How much is trimmed is the experiment's to say."""
    assert span_of(Window("fault"), experiment(trim_s=2.5)) == (12.5, 17.5)


def test_slots_are_whole_seconds_of_the_window() -> None:
    """Slots count from the start of the window, and a rest shorter than a second is left out."""
    span = span_of(_window("from 3.5s to 6.25s"), experiment())
    assert [tuple(slot) for slot in span.slots()] == [(3.5, 4.5), (4.5, 5.5)]


def test_baseline_ends_before_the_first_fault() -> None:
    """A fault inside the first phase cuts the baseline short, and one at its start leaves none."""
    early = ScheduledFault(fault=SlowLink(), at_s=6, for_s=1, name="early")
    assert baseline_span(experiment()) == (1, 9)
    assert baseline_span(experiment(faults=(early,))) == (1, 5)
    at_once = ScheduledFault(fault=SlowLink(), at_s=1, for_s=1, name="at-once")
    with pytest.raises(WindowError, match="before there is any baseline"):
        baseline_span(experiment(faults=(at_once,)))
    assert first_fault_s(experiment(faults=(at_once, early))) == 1
    assert first_fault_s(experiment(faults=())) == 10


def test_a_fault_with_a_condition_is_where_it_was() -> None:
    """Each design's window is its own, from when it was in force until healing was ordered."""
    waits = ScheduledFault(
        fault=SlowLink(), at_s=10, for_s=5, name="cut", when="app.locked", within_s=8
    )
    what = experiment(faults=(waits,))
    window = Window("cut")
    with pytest.raises(WindowError, match="`cut` never started here"):
        span_of(window, what)
    assert first_fault_s(what) == 10
    record = FaultRecord("cut", "latency", "naive: latency", ("x",), 10, design="naive")
    bit = replace(record, injected_s=12.9, confirmed_s=13, healed_s=18.5)
    never = replace(record, design="sturdy", never="no")
    naive = as_it_went(what, [bit, never], "naive")
    assert span_of(window, naive) == (14, 17.5)
    assert span_of(_window("from cut-1s to cut.end"), naive) == (12, 18.5)
    assert first_fault_s(naive) == 13
    with pytest.raises(WindowError, match="never started here"):
        span_of(window, as_it_went(what, [bit, never], "sturdy"))
    shared = replace(bit, design="", healed_s=None)
    assert span_of(window, as_it_went(what, [shared], "sturdy")) == (14, 34)


def test_claims_look_where_the_fault_was_in_their_own_design() -> None:
    """The same claim, about two designs that were broken at different times."""
    waits = ScheduledFault(
        fault=SlowLink(), at_s=10, for_s=5, name="cut", when="app.locked", within_s=8
    )

    def slow(from_s: float, to_s: float) -> Callable[[float], tuple[float, str]]:
        return lambda due_s: (0.5 if from_s <= due_s < to_s else 0.01, "ok")

    ops = [*steady(slow(12, 17)), *steady(slow(15, 20), "sturdy")]
    record = FaultRecord("cut", "latency", "latency", (), 10)
    records = [
        replace(record, design=design, injected_s=at_s, confirmed_s=at_s, healed_s=at_s + 5)
        for design, at_s in (("naive", 12), ("sturdy", 15))
    ]
    known = Facts(experiment(faults=(waits,)), History(ops), {}, records)
    for design in ("naive", "sturdy"):
        what, window = parse_measure("p50 during cut")
        assert measure(what, window, design, known).value == pytest.approx(0.5)
        assert measure(Measure("recovery"), Window("cut"), design, known).value == pytest.approx(0)
