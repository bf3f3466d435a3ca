"""Where a claim looks."""

from __future__ import annotations

import pytest

from lab.checkers.windows import WindowError, baseline_span, first_fault_s, span_of
from lab.claims import Window, parse_claim
from lab.experiment import ScheduledFault
from tests.unit.checkers_runs import SlowLink, experiment


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
