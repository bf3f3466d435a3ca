"""The picture of a running run, from its state, for a terminal of any width of 60 columns or more.

Drawn four times a second without the alternate screen, so that scrollback keeps the story.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from lab.experiment import Experiment
from lab.live.provisional import ClaimState
from lab.live.reducer import DesignState, Line, RunState
from lab.live.story import answer
from lab.units import format_duration
from lab.words import fault_short, moment

_BARS = "▁▂▃▄▅▆▇█"
_LOG_LINES = 6
_WIDE, _MEDIUM = 110, 78
"""From these widths on the sparkline is long, or fits at all."""

_NUMBERS = (("rate", 0), ("p50", _WIDE), ("p99", 0), ("errors", 0), ("open", _MEDIUM))
"""Columns of numbers, and from which width of the terminal each is shown."""


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
    spark = 24 if width >= _WIDE else 10 if width >= _MEDIUM else 0
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", expand=True)
    table.add_column("design", no_wrap=True, max_width=24 if width >= _WIDE else 19)
    for column, from_width in _NUMBERS:
        if width >= from_width:
            table.add_column(column, justify="right", no_wrap=True, min_width=len(column) + 1)
    if spark:
        table.add_column(f"p99 {spark} s", no_wrap=True, min_width=spark)
    table.add_column("so far", ratio=1, overflow="ellipsis", no_wrap=True)
    top_s = max((w["p99"] or 0 for d in state.designs.values() for w in d.seconds), default=0)
    for design in state.designs.values():
        line = sparkline([window["p99"] for window in design.seconds[-spark:]], top_s)
        table.add_row(
            Text(design.name, "bold"),
            *_numbers(design, width),
            *([Text(line, "blue")] if spark else []),
            state_so_far(design.claims, width),
        )
    return table


def _numbers(design: DesignState, width: int) -> list[Text]:
    """Cells of the columns of `_NUMBERS` that this width shows; a dash before the first second."""
    errors = sum(window["fail"] + window["info"] for window in design.seconds)
    last = design.last
    cells = {
        "rate": f"{last['due']}/s" if last else "–",
        "p50": _seconds(last.get("p50")),
        "p99": _seconds(last.get("p99")),
        "errors": str(errors),
        "open": str(last["in_flight"]) if last else "–",
    }
    style = {"errors": "dark_orange" if errors else ""}
    shown = (column for column, from_width in _NUMBERS if width >= from_width)
    return [Text(cells[column], style.get(column, "")) for column in shown]


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


def state_so_far(claims: Sequence[ClaimState], width: int = _WIDE) -> Text:
    """Where a design stands: since when a claim is broken, or that it holds; always a glyph."""
    broken = [claim for claim in claims if claim.status == "broken"]
    followed = [claim for claim in claims if claim.status == "holding"]
    over = [claim for claim in followed if claim.since_s is not None]
    if broken:
        first = min(broken, key=lambda claim: claim.since_s or 0.0)
        tone = "bold dark_orange" if first.side == "breaks" else "bold red"
        words = f"✗ broken {moment(first.since_s or 0.0)}"
        return Text(f"{words}, {first.expected}" if width >= _WIDE else words, tone)
    if over:
        return Text(f"! over bound {moment(over[0].since_s or 0.0)}", "yellow")
    return Text("✓ holding", "green") if followed else Text("· not judged yet", "dim")


_LEVELS = {"warning": "yellow", "problem": "bold red", "fault": "dark_orange", "claim": "bold"}


def _log(log: Sequence[Line], width: int) -> Text:
    """The latest events, newest last."""
    text = Text()
    for line in [line for line in log if line.at_s is not None][-_LOG_LINES:]:
        row = Text(f"{line.at_s:6.1f}  {line.text}", _LEVELS.get(line.level, ""))
        row.truncate(width, overflow="ellipsis")
        text.append_text(row).append("\n")
    return text
