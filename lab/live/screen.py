"""The picture of a running run, from its state, for a terminal of any width of 60 columns or more.

Drawn four times a second without the alternate screen, so that scrollback keeps the story.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from lab.experiment import Experiment
from lab.live.provisional import failing
from lab.live.reducer import DesignState, Line, RunState
from lab.live.story import Story, answer, story
from lab.units import format_duration
from lab.words import fault_short, moment

_BARS = "▁▂▃▄▅▆▇█"
_LOG_LINES = 6
_NUMBERS = ("rate", "p50", "p95", "p99", "errors", "open")
"""Columns of numbers, in their order."""

_MAY_GO = ("open", "p99", "rate", "trend", "p50", "long trend")
"""What goes where there is no room, the last first; never a measure that a claim is about."""

_CELLS = {"rate": 8, "errors": 7, "open": 6, "trend": 10, "long trend": 14}
"""Columns of the terminal that each needs; latencies need `_LATENCY_CELLS`."""

_LATENCY_CELLS = 8
_NAME_CELLS = 24
_STORY_CELLS = 26
"""Room for `✗ failing since T+123 s`, and most of how a recovery is told."""


class Screen:
    """Renders whatever state it is given last; Rich asks it again at every refresh."""

    def __init__(self) -> None:
        self.state = RunState()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield picture(self.state, options.max_width)


def picture(state: RunState, width: int) -> RenderableType:
    """Everything a person sees while the run goes."""
    parts: list[RenderableType] = [_title(state)]
    if not state.phase or state.hello is None:
        parts.append(_starting(state))
        return Group(*parts)
    parts += [
        _timeline(state, state.hello.experiment, width),
        _designs(state, width),
        *([_question(state)] if state.may_guess or _guessed(state) else []),
        _log(state.log, width),
    ]
    if state.record:
        parts.append(Text("load off, judged; writing the report", "dim"))
    elif state.clock_s >= state.hello.experiment.duration_s:
        parts.append(Text("load off; waiting for the last answers, then final reads", "dim"))
    return Group(*parts)


def _title(state: RunState) -> RenderableType:
    hello = state.hello
    if hello is None:
        return Text("starting", "dim")
    question = Text(hello.experiment.question, "bold")
    facts = f"{hello.experiment.name} · {hello.engine}: {hello.engine_reason} · run {hello.run_id}"
    return Group(question, Text(f"{facts} · seed {hello.seed}", "dim"))


def _starting(state: RunState) -> RenderableType:
    """What happened so far, and what is waited for now."""
    done = Text("\n").join(Text(f"  {line.text}", "dim") for line in state.log[-9:-1])
    return Group(done, Text(f"▸ {state.waiting_for}", "cyan")) if state.waiting_for else done


def _timeline(state: RunState, experiment: Experiment, width: int) -> Text:
    """`T+26 s ▕████▓▓▓▒▒░░░▏ fault, 6 of 12 s  ⚡ latency 200 ms`; broken stretches are hatched."""
    cells = max(12, min(60, width - 52))
    bar = Text(f"{moment(int(state.clock_s))} ".ljust(9), "bold")
    bar.append("▕")
    for cell in range(cells):
        at_s = (cell + 0.5) / cells * experiment.duration_s
        faulty = any(f.at_s <= at_s < f.until_s for f in experiment.faults)
        past = at_s < state.clock_s
        glyph = ("▓" if past else "▒") if faulty else ("█" if past else "░")
        bar.append(glyph, "dark_orange" if faulty else "blue" if past else "dim")
    bar.append("▏ ")
    bar.append(f"{state.phase} {_progress(state, experiment)}", "bold")
    active = [fault_short(f.record) for f in state.faults.values() if f.active]
    if active:
        bar.append(f"  ⚡ {', '.join(active)}", "bold dark_orange")
    bar.no_wrap, bar.overflow = True, "ellipsis"
    return bar


def _question(state: RunState) -> Text:
    """Before the fault: what do you think? Afterwards: what was said."""
    if not state.may_guess:
        said = (f"{name} {answer(state, name)[1]}" for name in _guessed(state))
        return Text("; ".join(said), "dim")
    keys = "  ".join(
        f"{number} {name}: {design.guess or '?'}"
        for number, (name, design) in enumerate(state.designs.items(), start=1)
    )
    return Text(f"what will break? press its number (again: it holds)   {keys}", "cyan")


def _guessed(state: RunState) -> list[str]:
    return [name for name, design in state.designs.items() if design.guess]


def _progress(state: RunState, experiment: Experiment) -> str:
    phase = experiment.phase_named(state.phase)
    length_s = phase.end_s - phase.start_s
    gone_s = min(max(state.clock_s - phase.start_s, 0.0), length_s)
    return f"{gone_s:.0f}/{length_s:.0f} s"


def _designs(state: RunState, width: int) -> Table:
    shown, is_short = _columns(state, width)
    spark = 24 if "long trend" in shown else 10 if "trend" in shown else 0
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=True)
    table.add_column("design", no_wrap=True, max_width=_NAME_CELLS)
    for column in (column for column in _NUMBERS if column in shown):
        table.add_column(column, justify="right", no_wrap=True, min_width=len(column) + 1)
    if spark:
        title = f"p99, last {spark} s" if spark > len("p99, last 24 s") else "p99 trend"
        table.add_column(title, no_wrap=True, min_width=spark)
    table.add_column("so far", ratio=1, overflow="ellipsis", no_wrap=True)
    top_s = max((w["p99"] or 0 for d in state.designs.values() for w in d.seconds), default=0)
    for design in state.designs.values():
        line = sparkline([window["p99"] for window in design.seconds[-spark:]], top_s)
        table.add_row(
            Text(design.name, "bold"),
            *_numbers(design, shown),
            *([Text(line, "blue")] if spark else []),
            so_far(state, design.name, is_short=is_short),
        )
    return table


def _columns(state: RunState, width: int) -> tuple[set[str], bool]:
    """Which columns this width has room for, and whether the story has to be told in short."""
    claims = [claim.claim for design in state.designs.values() for claim in design.claims]
    shown = {"errors", *(claim.measure.name for claim in claims)} & set(_NUMBERS)
    shown = shown if len(shown) > 1 else {*shown, "p99"}
    names = min(_NAME_CELLS, max((len(name) for name in state.designs), default=0))
    used = names + sum(2 + _CELLS.get(column, _LATENCY_CELLS) for column in shown)
    is_short = used + _STORY_CELLS > width
    used += _STORY_CELLS
    for column in _MAY_GO:
        cells = 2 + _CELLS.get(column, _LATENCY_CELLS)
        if column in shown:
            continue
        if used + cells > width:
            break
        shown.add(column)
        used += cells
    return shown, is_short


def _numbers(design: DesignState, shown: set[str]) -> list[Text]:
    """Cells of those columns of `_NUMBERS` that are shown; a dash before the first second."""
    errors = sum(window["fail"] + window["info"] for window in design.seconds)
    last = design.last
    cells = {
        "rate": f"{last['due']}/s" if last else "–",
        **{name: _seconds(last.get(name)) for name in ("p50", "p95", "p99")},
        "errors": str(errors),
        "open": str(last["in_flight"]) if last else "–",
    }
    style = {"errors": "dark_orange" if errors else ""}
    return [Text(cells[name], style.get(name, "")) for name in _NUMBERS if name in shown]


def _seconds(value: float | None) -> str:
    return "–" if value is None else format_duration(value)


def sparkline(values: Sequence[float | None], top: float) -> str:
    """One character per value on a square-root scale up to `top`; a gap where there is none.

    The root keeps a baseline of milliseconds visible beside seconds.
    """
    last = len(_BARS) - 1
    return "".join(
        " " if value is None else _BARS[min(last, round((value / top) ** 0.5 * last)) if top else 0]
        for value in values
    )


def so_far(state: RunState, name: str, *, is_short: bool = False) -> Text:
    """How a design fares, as the live page says it; always with a glyph, whatever the width."""
    told = story(state, name)
    words = str(told)
    if is_short:
        words = f"{told.glyph} {_in_short(told)}"
    broken = failing(state.designs[name].claims)
    if broken is None or broken.status != "broken":
        return Text(words, _TONES[told.tone])
    style = "bold dark_orange" if broken.side == "breaks" else "bold red"
    return Text(words if is_short else f"{words}, {broken.expected}", style)


def _in_short(told: Story) -> str:
    """A story in some ten letters: `since T+9 s`."""
    if told.state == "failing":
        return f"since {moment(told.since_s or 0.0)}"
    return told.words.partition(",")[0]


_TONES = {"good": "green", "bad": "bold red", "unknown": "yellow"}
_LEVELS = {"warning": "yellow", "problem": "bold red", "fault": "dark_orange", "claim": "bold"}


def _log(log: Sequence[Line], width: int) -> Text:
    """The latest events, newest last."""
    text = Text()
    for line in [line for line in log if line.at_s is not None][-_LOG_LINES:]:
        row = Text(f"{line.at_s:6.1f}  {line.text}", _LEVELS.get(line.level, ""))
        row.truncate(width, overflow="ellipsis")
        text.append_text(row).append("\n")
    return text
