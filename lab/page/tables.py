"""The page's tables and lists as HTML: what is readable with no script at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from textwrap import dedent
from typing import Any

from lab.record import Record
from lab.units import format_duration
from lab.verdict import ClaimResult, Status
from lab.words import (
    SIDE_TITLES,
    fault_words,
    iso_time,
    lag_words,
    moment,
    observer_words,
    price,
    result_words,
)

_TONES = {Status.AS_PREDICTED: "good", Status.NOT_AS_PREDICTED: "bad", Status.UNKNOWN: "unknown"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """A table in a box that scrolls by itself on a narrow screen. Cells are HTML already."""
    th = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return _boxed(f"<thead><tr>{th}</tr></thead><tbody>{body}</tbody>", caption)


def _boxed(inside: str, caption: str) -> str:
    label = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>'
        f'<caption class="hidden">{label}</caption>{inside}</table></div>'
    )


def claims(record: Record) -> str:
    """All claims, grouped by what was predicted."""
    columns = ("design", "claim", "measured", "bound", "came out", "samples")
    th = "".join(f'<th scope="col">{name}</th>' for name in columns)
    groups = []
    for side, title in SIDE_TITLES.items():
        chosen = [claim for claim in record.verdict.claims if claim.side == side]
        if chosen:
            head = f'<tr><th class="group" colspan="6" scope="rowgroup">{escape(title)}</th></tr>'
            groups.append(f"<tbody>{head}{''.join(_claim(claim) for claim in chosen)}</tbody>")
    return _boxed(f"<thead><tr>{th}</tr></thead>{''.join(groups)}", "Claims")


def _claim(claim: ClaimResult) -> str:
    cells = (
        f"<code>{escape(claim.claim)}</code>",
        f'<span class="number">{escape(claim.measured)}</span>',
        f'<span class="number">{escape(claim.bound)}</span>',
        f'<span class="{_TONES[claim.status]}">{escape(result_words(claim))}</span>',
        f'<span class="number">{claim.samples:,}</span>',
    )
    tds = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(claim.design)}</th>{tds}</tr>'


def faults(record: Record) -> str:
    """Every fault: when it was planned and done, what was measured before, during and after."""
    if not record.faults:
        return "<p>Nothing was broken in this experiment: the load alone is the test.</p>"
    head = ("fault", "planned", "injected", "in force", "healed", "gone",
            "before", "during", "after", "proved")  # fmt: skip
    rows = [
        (
            escape(fault.text),
            *(
                f'<span class="number">{_moment(at_s)}</span>'
                for at_s in (fault.due_s, fault.injected_s, fault.confirmed_s,
                             fault.healed_s, fault.gone_s)
            ),
            *(escape(text) or "–" for text in (fault.before, fault.during, fault.after)),
            _toned(fault_words(fault), good=fault.bit and fault.healed),
        )
        for fault in sorted(record.faults, key=lambda f: f.planned_s)
    ]  # fmt: skip
    return table(head, rows, "Faults")


def _moment(at_s: float | None) -> str:
    return "–" if at_s is None else f"T+{at_s:.2f} s"


def costs(record: Record) -> str:
    """What each design used while the load was on."""
    head = ("design", "instances", "CPU per 1,000 requests", "memory at peak", "p50 unbroken")
    prices = [price(record, design) for design in record.experiment.designs]
    rows = [
        (escape(p.design), *(f'<span class="number">{escape(cell)}</span>'
                             for cell in (p.containers, p.cpu, p.memory, p.p50)))
        for p in prices
    ]  # fmt: skip
    return table(head, rows, "Costs")


def _toned(text: str, *, good: bool) -> str:
    return f'<span class="{"good" if good else "bad"}">{escape(text)}</span>'


def guards(record: Record) -> str:
    """What the run had to show to earn its verdict."""
    rows = [
        (
            escape(guard.name),
            escape(guard.design) or "all",
            _toned("✓ met" if guard.met else "✗ not met", good=guard.met),
            escape(guard.detail),
        )
        for guard in record.verdict.guards
    ]
    return table(("guard", "design", "met", "measured"), rows, "What the verdict rests on")


def instrument(record: Record) -> str:
    """How far the instrument can be trusted: late drivers, its own CPU, links that bypass it."""
    rows = [(f"driver of {escape(name)}", lag_words(record, name)) for name in record.lags]
    rows.append(("the lab itself used", observer_words(record)))
    proved = sum(1 for packets in record.links.values() if packets)
    carried = "<br>".join(f"{escape(link)}: {n:,}" for link, n in record.links.items())
    folded = f"<details><summary>packets in the baseline</summary>{carried}</details>"
    said = f"{proved} of {len(record.links)}{folded if carried else ''}"
    rows.append(("links proved to carry traffic through a proxy", said))
    return table(("instrument", "measured"), rows, "The instrument")


def facts(record: Record) -> str:
    """What ran, where and when."""
    rows = [
        ("run", escape(record.run_id)),
        ("when", f"<time>{iso_time(record.started_unix_s)}</time>"),
        ("engine", escape(record.engine)),
        ("seed", str(record.seed)),
        *((f"version of {escape(name)}", escape(text)) for name, text in record.versions.items()),
        *((f"host: {escape(name)}", escape(text)) for name, text in record.host.items()),
        *(
            (escape(name.removesuffix("_s")) + " took", format_duration(seconds))
            for name, seconds in record.timings.items()
        ),
    ]  # fmt: skip
    return table(("fact", "value"), rows, "Facts of the run")


def seconds(windows: Sequence[Mapping[str, Any]], design: str) -> str:
    """The numbers behind the charts of one design, folded away."""
    head = ("second", "due", "ok", "failed", "unknown", "p50", "p95", "p99", "open")
    rows = [
        (moment(w["t"]), *(str(w[key]) for key in ("due", "ok", "fail", "info")),
         *(_latency(w[key]) for key in ("p50", "p95", "p99")), str(w["in_flight"]))
        for w in windows
    ]  # fmt: skip
    body = table(head, rows, f"{design}, second by second")
    return f"<details><summary>Second by second, in numbers</summary>{body}</details>"


def _latency(value: Any) -> str:
    return "–" if value is None else format_duration(value)


def prose(text: str) -> str:
    """Paragraphs, `- ` lists, `code` and indented sums of a lesson; no other Markdown is meant."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        if all(line.startswith("  ") for line in lines):
            blocks.append(f"<pre>{escape(dedent(block))}</pre>")
        elif all(line.lstrip().startswith("- ") for line in lines):
            items = "".join(f"<li>{_inline(line.lstrip()[2:])}</li>" for line in lines)
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>")
    return "".join(blocks)


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def sources(record: Record) -> str:
    """Where the lesson comes from; addresses become links."""
    items = []
    for source in record.experiment.sources:
        linked = re.sub(
            r"https?://[^\s<>\"']+[^\s<>\"'.,;)]",
            lambda match: f'<a href="{match[0]}" rel="noopener noreferrer">{match[0]}</a>',
            escape(source),
        )
        items.append(f"<li>{linked}</li>")
    return f"<ul>{''.join(items)}</ul>" if items else ""
