"""`summary.md`: the run on one page of Markdown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.plan import deploy
from lab.record import Record
from lab.report.summary import summary
from tests.unit import records


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


@pytest.fixture(scope="module")
def text(record: Record) -> str:
    return summary(record)


def test_it_opens_with_question_and_verdict(text: str) -> None:
    first, _, third = text.splitlines()[:3]
    assert first == "# ✓ What happens to a URL shortener when its database is 200 ms further away?"
    assert third.startswith("**As predicted: connection-per-request breaks since T+8 s;")


def test_each_claim_is_a_row_with_what_came_out(record: Record, text: str) -> None:
    rows = [
        line for line in text.splitlines() if line.startswith(("| breaks", "| holds", "| pays"))
    ]
    assert len(rows) == len(record.verdict.claims)
    assert any("`ok >= 95% during fault`" in row and "✓ broke since T+8 s" in row for row in rows)


def test_the_topology_is_one_mermaid_drawing_for_designs_that_share_it(text: str) -> None:
    assert text.count("```mermaid") == 1
    drawing = text.partition("```mermaid\n")[2].partition("```")[0]
    assert "flowchart LR" in drawing
    assert 's_app -. "⚡ latency 200 ms" .-> s_db' in drawing
    assert "s_app --> s_cache" in drawing
    assert 's_app["app ×2"]' in drawing
    assert "connection-per-request, pool-default, pool-sized:" in text


def test_a_fault_of_one_service_is_marked_on_it(record: Record) -> None:
    targets = tuple(i.name for i in deploy(record.experiment).instances_of("app-1"))
    pause = replace(record.faults[0], kind="pause", text="pause of app-1", targets=targets)
    assert 's_app["app ×2<br>⚡ pause app-1"]' in summary(replace(record, faults=(pause,)))


def test_tables_are_whole_even_with_pipes_in_their_cells(record: Record) -> None:
    fault = replace(record.faults[0], text="partition of app | inventory")
    text = summary(replace(record, faults=(fault,)))
    assert "partition of app \\| inventory" in text
    widths: list[int] = []
    for line in text.splitlines():
        if line.startswith("|"):
            widths.append(line.replace("\\|", "").count("|"))
        elif widths:
            assert len(set(widths)) == 1
            widths = []


def test_costs_faults_and_how_to_run_it_again(text: str) -> None:
    assert "| pool-sized | 5 | 3.29 CPU-s | 271 MiB |" in text
    assert "pool-sized used 27 % less CPU per request" in text
    assert "✓ bit (+4 ms from plan), ✓ healed" in text
    assert "`lab run experiments/reddit-hug.yaml --seed 1`" in text


def test_a_fault_that_waited_tells_for_what_and_how_long_after_it_came(record: Record) -> None:
    waited = replace(
        record.faults[0],
        design="pool-sized",
        triggered_s=7.9,
        started_by="app.locked of pool-sized/app-1",
        ended_by="app_pool_waiting > 3 (it was 4)",
    )
    never = replace(waited, design="", injected_s=None, never="`app.locked` did not come true")
    text = summary(replace(record, faults=(waited, never)))
    assert "(+104 ms from app.locked of pool-sized/app-1), ended by app_pool_waiting > 3" in text
    assert "✗ never injected: `app.locked` did not come true" in text


def test_an_unknown_run_lists_why(record: Record) -> None:
    text = summary(records.unknown(record))
    assert text.startswith("# ? What happens")
    assert "\n- latency bit:" in text


def test_incomplete_healing_comes_with_the_command(record: Record) -> None:
    text = summary(records.unhealed(record))
    assert "**Left behind:**" in text
    assert f"`lab clean --run {record.run_id}`" in text
