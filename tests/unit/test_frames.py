"""Frames: whatever a page has seen, the next one brings it to what the run has come to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.faults import KINDS
from lab.loading import load_experiment
from lab.messages import FaultChanged, Hello, Message, Second
from lab.page import charts
from lab.page.charts import Numbers
from lab.plan import deploy
from lab.record import Record
from lab.web import Recording, shell
from lab.web.frames import at, frame, view
from tests.unit import records, streams
from tests.unit.pages import shown_after

BARE, DEFAULT, SIZED = records.DESIGNS
RECORD = streams.record()
MESSAGES = list(streams.messages(RECORD))
EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture(scope="module")
def record() -> Record:
    return RECORD


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording(MESSAGES)


def _page(recording: Recording, counts: list[int]) -> dict[str, Any]:
    """What a page shows that got one frame for each of these counts."""
    page: dict[str, Any] = {}
    old = None
    for count in counts:
        new = view(recording, count)
        page = shown_after(page, frame(recording, old, new))
        old = new
    return page


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, len(MESSAGES)), max_size=6).map(sorted), st.integers(1, len(MESSAGES))
)
def test_frames_of_any_size_lead_to_the_same_page(counts: list[int], last: int) -> None:
    recording = Recording(MESSAGES)
    before = sorted(count for count in counts if count <= last)
    assert _page(recording, [*before, last]) == _page(recording, [last])


def test_a_frame_of_a_second_is_small(recording: Recording) -> None:
    first = _count(lambda m: isinstance(m, Second) and m.window["t"] == 4)
    body = frame(recording, view(recording, first), view(recording, first + 5))
    assert "run" not in body
    assert body["add"][BARE]["from"] == 4
    assert "log" not in body["slots"]
    assert "sections" not in body["slots"]


def test_the_finished_page_draws_what_the_report_draws(
    recording: Recording, record: Record
) -> None:
    page = _page(recording, [100, len(MESSAGES)])
    assert page["finished"]
    assert page["run"]["designs"] == charts.data(Numbers.of(record))["designs"]
    assert "<h2>Claims</h2>" in page["slots"]["sections"]
    assert "As predicted" in page["slots"]["headline"]


def test_a_moment_of_the_past_shows_nothing_that_came_later(recording: Recording) -> None:
    then = at(recording, 6.0, whole=True)
    assert (then["clock"], then["phase"], then["finished"], then["bands"]) == (
        6.0, "baseline", False, [],
    )  # fmt: skip
    assert "fail" not in then["slots"]["headline"]
    assert len(then["run"]["designs"][BARE]["p99"]) == 6
    later = at(recording, 14.0, whole=False)
    assert "run" not in later
    assert f"{BARE} and {DEFAULT} are failing" in later["slots"]["headline"]
    assert later["bands"] == [
        {
            "name": "latency",
            "design": "",
            "text": "latency 200 ms",
            "kind": "latency",
            "from": 8.21,
            "to": 14.0,
        }
    ]


def test_the_predictions_of_the_author_are_told_only_once_something_broke(
    recording: Recording,
) -> None:
    before = at(recording, 5.0, whole=False)["slots"]
    assert "predicted" not in before["d0.claims"]
    assert "before it breaks" in before["guess"].lower()
    after = at(recording, 9.0, whole=False)["slots"]
    assert "<small>breaks</small>" in after["d0.claims"]
    assert after["guess"] == ""


def test_the_drawing_says_what_links_carry_and_what_was_measured_on_the_broken_one(
    recording: Recording,
) -> None:
    healthy = at(recording, 5.0, whole=False)["slots"]["d2.drawing"]
    assert "link broken" not in healthy
    assert "17.6 KiB/s" in healthy
    broken = at(recording, 14.0, whole=False)["slots"]["d2.drawing"]
    assert broken.count('class="link broken"') == 1
    assert "round trip 203 ms" in broken
    healed = at(recording, 25.0, whole=False)["slots"]["d2.drawing"]
    assert "link broken" not in healed


def test_a_link_that_carries_nothing_is_drawn_as_cut(record: Record) -> None:
    cut = replace(record.faults[0], kind="blackhole", text="blackhole on app -> db",
                  during="no answer in 400 ms")  # fmt: skip
    told = [
        replace(m, record=cut) if hasattr(m, "stage") and m.stage == "bit" else m for m in MESSAGES
    ]
    drawing = at(Recording(told), 14.0, whole=False)["slots"]["d0.drawing"]
    assert drawing.count('class="link broken cut"') == 1
    assert "no answer in 400 ms" in drawing


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_has_a_page_from_its_first_message_on(path: Path) -> None:
    what = load_experiment(path, KINDS)
    recording = Recording([Hello(what, deploy(what), "docker", "a test", "7f3a0001", 1)])
    shown = view(recording)
    page = shell.run_page(shown, "7f3a0001", growing=True, token="t")
    assert page.count('<article class="design"') == len(what.designs)
    assert page.count("<figure") == len(what.designs) * (3 + len(what.watch))
    assert page.count("data-guess=") == 2 * len(what.designs)
    drawn = frame(recording, None, shown)["run"]
    assert set(drawn["designs"]) == set(what.designs)


def test_a_fault_of_one_design_is_told_and_drawn_there_alone() -> None:
    only = replace(RECORD.faults[0], design=BARE, healed_s=None, gone_s=None, started_by="a lock")
    told = [m for m in MESSAGES if not hasattr(m, "stage")]
    eighth = _count(lambda m: isinstance(m, Second) and m.window["t"] == 8, told)
    told.insert(eighth, FaultChanged(only, "bit"))
    then = at(Recording(told), 14.0, whole=False)
    assert [band["design"] for band in then["bands"]] == [BARE]
    assert f"{BARE}: latency 200 ms on app -&gt; db" in then["slots"]["faults"]
    assert "healthy so far" in then["slots"]["d2.pill"]
    assert "failing since T+8 s" in then["slots"]["d0.pill"]


def test_a_budget_says_what_it_counts_and_the_clock_has_a_gap() -> None:
    seen = at(Recording(MESSAGES), 14.0, whole=False)["slots"]
    assert re.search(r">\d+, \d+ allowed<", seen["d0.claims"])
    assert ">bad requests<" in seen["d0.claims"]
    assert seen["clock"] == "T+14 s <small>fault</small>"
    assert seen["states"].count("<li>") == 3
    assert f'<a href="#d0">{BARE}</a> <span class="bad">✗ failing since T+8 s' in seen["states"]


def test_hostile_text_stays_text() -> None:
    hostile = "</script><img src=x onerror=alert(1)>\"'"
    what = RECORD.experiment.model_copy(
        update={"question": hostile, "watch": (hostile,), "name": hostile, "lesson": hostile}
    )
    hello = replace(MESSAGES[0], experiment=what, engine_reason=hostile, run_id=hostile)
    told: list[Message] = [hello]
    for message in MESSAGES[1:-1]:
        if hasattr(message, "text"):
            told.append(replace(message, text=hostile))
        elif hasattr(message, "stage"):
            told.append(
                replace(message, record=replace(message.record, text=hostile, during=hostile))
            )
        elif isinstance(message, Second):
            failed = tuple(op._replace(error=hostile, key=hostile) for op in message.failed)
            told.append(replace(message, errors={hostile: 3}, failed=failed))
        else:
            told.append(message)
    seen = view(Recording(told)).slots
    assert any(
        hostile.replace("<", "&lt;")[:20] in html or "&lt;/script" in html for html in seen.values()
    )
    assert not [name for name, html in seen.items() if "<img" in html or "</script" in html]


def _count(wanted: Any, messages: Sequence[Message] = MESSAGES) -> int:
    return next(i for i, message in enumerate(messages) if wanted(message))
