"""The final table on the terminal: what each design was predicted to do, and what it did."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lab.errors import ExitCode
from lab.record import FaultRecord, Record
from lab.units import format_duration
from lab.verdict import Status
from lab.words import (
    STATUS_GLYPH,
    claims_of,
    design_state,
    fault_words,
    observer_words,
    price,
    price_of_better,
    remedy,
    result_words,
    verdict_line,
)

_TONES = {"good": "green", "bad": "dark_orange", "unknown": "yellow"}
_COLOURS = {Status.AS_PREDICTED: "green", Status.NOT_AS_PREDICTED: "red", Status.UNKNOWN: "yellow"}


def result_table(record: Record, folder: Path) -> RenderableType:
    """Everything `lab run` says at the end, for standard output."""
    parts: list[RenderableType] = [_headline(record)]
    if record.verdict.reasons:
        parts.append(_reasons(record))
    parts += [_design(record, name) for name in record.experiment.designs]
    parts += [_fault(fault) for fault in sorted(record.faults, key=lambda f: f.planned_s)]
    parts += [_prices(record), _instrument(record)]
    if record.exit_code is ExitCode.HEALING_INCOMPLETE:
        parts.append(_left_behind(record))
    parts.append(Text(f"report  {folder / 'report.html'}", no_wrap=True, overflow="ignore"))
    return Group(*parts)


def _headline(record: Record) -> RenderableType:
    status = record.verdict.status
    what = record.experiment
    line = Text(f"{STATUS_GLYPH[status]} {verdict_line(record)}", f"bold {_COLOURS[status]}")
    facts = f"{what.name} · {record.engine} · run {record.run_id} · seed {record.seed}"
    interrupted = f" · interrupted: {record.interrupted}" if record.interrupted else ""
    return Group(line, Text(f"{facts} · {what.duration_s:g} s of load{interrupted}\n", "dim"))


def _reasons(record: Record) -> RenderableType:
    title = Text(f"why {record.verdict.status.value}:", "bold")
    return Group(title, *(_indented(f"- {reason}") for reason in record.verdict.reasons), Text())


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style), (0, 0, 0, 2))


def _design(record: Record, name: str) -> RenderableType:
    """How it came out, why, and each of its claims."""
    state = design_state(record, name)
    head = Text.assemble((name, "bold"), "  ", (str(state), f"bold {_TONES[state.tone]}"))
    why = [_indented(record.whys[name])] if record.whys.get(name) else []
    table = _table("predicted", "claim", "measured", "bound", "came out")
    for claim in claims_of(record, name):
        cells = (claim.side, claim.claim, claim.measured, claim.bound)
        table.add_row(*map(Text, cells), Text(result_words(claim), _COLOURS[claim.status]))
    return Group(head, *why, Padding(table, (0, 0, 1, 2)))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _fault(fault: FaultRecord) -> RenderableType:
    """What was done, whether it bit and healed, and what was measured before, during, after."""
    tone = "green" if fault.bit and fault.healed else "red"
    head = Text.assemble(("fault ", "dim"), (fault.text, "bold"), "  ", (fault_words(fault), tone))
    measured = (fault.before or "–", fault.during or "–", fault.after or "–")
    said = "before {}, during {}, after {}".format(*measured)
    return Group(head, Padding(Text(said), (0, 0, 1, 2)))


def _prices(record: Record) -> RenderableType:
    if not record.costs:
        return Group()
    table = _table("price", "instances", "CPU per 1,000", "memory at peak", "p50 unbroken")
    for design in record.experiment.designs:
        cost = price(record, design)
        cells = (design, cost.containers, cost.cpu, cost.memory, cost.p50)
        table.add_row(*map(Text, cells))
    return Group(table, Text(price_of_better(record), "dim"))


def _instrument(record: Record) -> RenderableType:
    """How far the instrument itself can be trusted."""
    lags = [lag.p99_s for lag in record.lags.values()]
    late = f"drivers late by p99 {format_duration(max(lags))}, " if lags else ""
    silent = [name for name, packets in record.links.items() if not packets]
    links = f", no traffic on {', '.join(silent)}" if silent else ""
    used = observer_words(record)
    return Text(f"\ninstrument: {late}the lab itself used {used}{links}\n", "dim")


def _left_behind(record: Record) -> RenderableType:
    left = [Text(f"  - {what}") for what in record.residue]
    return Group(
        Text("healing is incomplete; left behind:", "bold red"),
        *left,
        Text(f"  clear it with:  {remedy(record)}\n", "bold"),
    )
