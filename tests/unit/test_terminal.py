"""The terminal: plain lines exactly, no escape codes where there is no terminal, any width."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lab.claims import parse_claim
from lab.errors import UsageError
from lab.live.reducer import reduce
from lab.live.screen import picture, sparkline
from lab.live.terminal import Terminal
from lab.messages import FaultChanged, Hello, Message, Noted, PhaseStarted, Second
from lab.record import Record
from tests.unit import records

FOLDER = Path("runs/reddit-hug/20261122-174501-7f3a")


class Stream(io.StringIO):
    """A text stream that says what it is."""

    def __init__(self, *, tty: bool = False, encoding: str = "utf-8") -> None:
        super().__init__()
        self._tty, self._encoding = tty, encoding

    def isatty(self) -> bool:
        return self._tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_STEP_SUMMARY", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def _told(messages: Iterable[Message], progress: Stream, mode: str = "auto") -> str:
    with Terminal(mode, progress, Stream()) as terminal:
        for message in messages:
            terminal.emit(message)
    return progress.getvalue()


def _result(record: Record, stream: Stream, folder: Path = FOLDER) -> str:
    Terminal("none", Stream(), stream).show_result(record, folder)
    return stream.getvalue()


def test_plain_lines(record: Record) -> None:
    window = {"due": 60, "ok": 58, "fail": 1, "info": 1, "in_flight": 7, "attempts": 60}
    latencies = {"p50": 0.0084, "p95": 0.012, "p99": 0.25}
    hello = list(records.stream(record))[:2]
    seconds = [Second("pool-sized", {"t": t, **window, **latencies}) for t in range(5)]
    told = _told(
        [*hello, PhaseStarted("baseline", 0.0), *seconds, Noted(5.25, "app-1 died", "problem")],
        Stream(),
    )
    rest = "run=20261122-174501-7f3a seed=1 load=35s"
    assert told.splitlines() == [
        "reddit-hug: What happens to a URL shortener when its database is 200 ms further away?",
        f"designs={','.join(records.DESIGNS)} engine=docker (Docker 20.10 answers) {rest}",
        "-- 6 services starting",
        "t=0.0 phase baseline",
        "t=5 phase=baseline design=pool-sized rps=60 p50_ms=8 p99_ms=250 err=10 inflight=7",
        "t=5.2 problem: app-1 died",
    ]


def test_a_second_without_answers_has_no_latency() -> None:
    empty = {"due": 0, "ok": 0, "fail": 0, "info": 0, "in_flight": 90, "attempts": 0}
    nothing = {"p50": None, "p95": None, "p99": None}
    told = _told([Second("a", {"t": 4, **empty, **nothing})], Stream())
    assert "rps=0 p50_ms=- p99_ms=- err=0 inflight=90" in told


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"])
def test_a_pipe_gets_no_escape_code_whatever_the_environment_says(
    record: Record, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    told = _told(records.stream(record), Stream()) + _result(record, Stream())
    assert "\x1b" not in told
    assert "\r" not in told
    assert len(told.splitlines()) > 50


def test_a_dumb_terminal_gets_plain_lines(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    told = _told(records.stream(record), Stream(tty=True))
    assert "\x1b" not in told
    assert "t=8.0 phase fault" in told


def test_output_that_is_not_utf8_is_ascii(record: Record) -> None:
    progress, results = Stream(encoding="ANSI_X3.4-1968"), Stream(encoding="ISO-8859-1")
    _told([*records.stream(record), Noted(1.0, "p99 → 5 s ✗", "warning")], progress)
    assert progress.getvalue().isascii()
    assert "t=1.0 warning: p99 > 5 s x" in progress.getvalue()
    assert _result(record, results).isascii()


def test_a_terminal_gets_a_live_picture_in_its_scrollback(record: Record) -> None:
    told = _told(records.stream(record), Stream(tty=True))
    assert "\x1b[" in told
    assert "\x1b[?1049h" not in told  # never the alternate screen
    assert "pool-sized" in told


def test_no_color_takes_colour_away_and_nothing_else(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;5|9[0-7])[0-9;]*m")
    assert coloured.search(_told(records.stream(record), Stream(tty=True)))
    monkeypatch.setenv("NO_COLOR", "1")
    told = _told(records.stream(record), Stream(tty=True))
    assert not coloured.search(told)
    assert "✗" in told
    assert "✓" in told


def test_none_says_nothing_but_what_it_is_told_to(record: Record) -> None:
    progress = Stream()
    with Terminal("none", progress, Stream()) as terminal:
        terminal.emit(next(records.stream(record)))
        terminal.say("interrupted: healing")
    assert progress.getvalue() == "interrupted: healing\n"


def test_json_is_one_object_a_line(record: Record) -> None:
    told = _told(records.stream(record), Stream(), "json")
    bodies = [json.loads(line) for line in told.splitlines()]
    assert bodies[0]["is"] == "Hello"
    assert bodies[-1] == {"is": "Finished", "verdict": "as predicted", "exit_code": 0}
    seconds = [body for body in bodies if body["is"] == "Second"]
    assert len(seconds) == 35 * len(records.DESIGNS)
    assert {"design", "t", "due", "p99", "in_flight"} <= seconds[0].keys()


def test_json_tells_the_same_fault_of_two_designs_apart(record: Record) -> None:
    faults = (replace(record.faults[0], design=name) for name in records.DESIGNS[:2])
    told = _told((FaultChanged(fault, "bit") for fault in faults), Stream(), "json")
    bodies = [json.loads(line) for line in told.splitlines()]
    assert [body["key"] for body in bodies] == [f"{n}/latency" for n in records.DESIGNS[:2]]
    assert [(body["design"], body["name"]) for body in bodies] == [
        (name, "latency") for name in records.DESIGNS[:2]
    ]


def test_an_unknown_mode_is_refused_with_the_modes_there_are() -> None:
    with pytest.raises(UsageError, match="fancy") as refused:
        Terminal("fancy")
    assert "plain" in str(refused.value)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("messages", [1, 3, 60, 130])
def test_the_picture_fits_the_terminal(record: Record, width: int, messages: int) -> None:
    state = reduce(list(records.stream(record))[:messages])
    text = _drawn(state, width)
    assert all(len(line) <= width for line in text.splitlines())
    if messages >= 60:
        assert "pool-sized" in text
        assert "T+" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_even_a_narrow_picture_says_which_design_is_broken_and_since_when(
    record: Record, width: int
) -> None:
    messages = list(records.stream(record))
    at = next(i for i, m in enumerate(messages) if isinstance(m, Second) and m.window["t"] == 14)
    lines = _drawn(reduce(messages[:at]), width).splitlines()
    broken = [line.split()[0] for line in lines if re.search(r"✗ (failing )?since T\+\d+ s", line)]
    holding = [line.split()[0] for line in lines if "✓ holding" in line]
    assert [name[:9] for name in broken] == ["connectio", "pool-defa"]
    assert holding == ["pool-sized"]
    assert any("⚡ latency 200 ms" in line for line in lines)


def _drawn(state: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(picture(state, width))  # type: ignore[arg-type]
    return captured.get()


@pytest.mark.parametrize("width", [60, 80, 100, 110, 140])
@pytest.mark.parametrize("measure", ["p50", "p95", "p99"])
def test_a_measure_that_a_claim_is_about_is_shown_at_every_width(
    record: Record, width: int, measure: str
) -> None:
    what = record.experiment
    claims = {"breaks": (parse_claim(f"{measure} < 1s during fault"),), "holds": ()}
    designs = {name: d.model_copy(update=claims) for name, d in what.designs.items()}
    hello, *rest = list(records.stream(record))[:60]
    assert isinstance(hello, Hello)
    changed = replace(hello, experiment=what.model_copy(update={"designs": designs}))
    lines = _drawn(reduce([changed, *rest]), width).splitlines()
    head = next(line for line in lines if line.startswith("design "))
    assert measure in head.replace("p99 trend", "").split()
    assert "p99 10 s" not in head
    assert all(len(line) <= width for line in lines)


def test_a_sparkline_has_gaps_where_nothing_was_measured() -> None:
    assert sparkline([0.0, None, 1.0], 1.0) == "▁ █"
    assert sparkline([0.0, 0.0], 0.0) == "▁▁"


def test_the_result_says_for_every_claim_what_came_out(record: Record) -> None:
    text = _result(record, Stream())
    assert text.startswith("✓ As predicted: connection-per-request breaks since T+8 s;")
    for claim in record.verdict.claims:
        row = next(line for line in text.splitlines() if claim.claim in line and claim.side in line)
        assert claim.measured in row
        assert claim.bound in row
    for why in record.whys.values():
        assert why in text
    assert "before round trip 0.4 ms, during round trip 203 ms, after round trip 0.4 ms" in text
    assert f"report  {FOLDER}/report.html" in text


def test_the_result_of_a_wrong_prediction_says_which(record: Record) -> None:
    text = _result(records.missed(record), Stream())
    assert text.startswith("✗ Not as predicted: connection-per-request holds, though predicted")
    assert "✗ did not break" in text


def test_the_result_of_an_unknown_run_gives_the_reason(record: Record) -> None:
    text = _result(records.unknown(record), Stream())
    assert text.startswith("? Unknown: this run proved nothing")
    assert "- latency bit:" in text
    assert "✗ did not bite" in text


def test_incomplete_healing_names_what_is_left_and_the_command(record: Record) -> None:
    text = _result(records.unhealed(record), Stream())
    assert "toxic latency on pool-sized.app-1.to.db-1.5432" in text
    assert f"lab clean --run {record.run_id}" in text


def test_markup_in_a_run_is_only_text(record: Record) -> None:
    """Square brackets are Rich's markup, and Prometheus' and PostgreSQL's as well."""
    note = Noted(1.0, "[red]FATAL[/] sorry [/nothing]")
    messages = [*list(records.stream(record))[:60], note]
    assert note.text in _told(messages, Stream(tty=True))
    assert note.text in _told([note], Stream())


def test_github_gets_the_summary_on_its_page(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n")
    (tmp_path / "summary.md").write_text("# Summary\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    _result(record, Stream(), tmp_path)
    assert page.read_text() == "before\n# Summary\n\n"
