"""The run library: every run under the runs folder, newest first, from its `result.json` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lab.page import cards
from lab.page.tables import table
from lab.store import MESSAGES
from lab.verdict import Status
from lab.web.shell import document
from lab.words import STATUS_GLYPH, STATUS_WORDS, iso_time

_TONES = {Status.AS_PREDICTED: "good", Status.NOT_AS_PREDICTED: "bad", Status.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of the library; `replay` is whether it kept its messages."""

    run_id: str
    experiment: str
    question: str
    verdict: Status
    engine: str
    started_unix_s: float
    reason: str
    faults: tuple[str, ...]
    replay: bool


def find(runs: Path) -> list[Entry]:
    """All runs that can be read, newest first."""
    found = [entry for path in runs.glob("*/*/result.json") if (entry := _entry(path))]
    unique = {entry.run_id: entry for entry in found}  # `latest` leads to a run a second time
    return sorted(unique.values(), key=lambda entry: -entry.started_unix_s)


def _entry(path: Path) -> Entry | None:
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Entry(
            run_id=body["run_id"],
            experiment=body["experiment"],
            question=body["question"],
            verdict=Status(body["verdict"]),
            engine=body["engine"],
            started_unix_s=float(body["started_unix_s"]),
            reason=next(iter(body["reasons"]), ""),
            faults=tuple(fault["text"] for fault in body["faults"]),
            replay=(path.parent / MESSAGES).exists(),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def page(entries: Sequence[Entry], live: str, query: Mapping[str, str]) -> str:
    """The list, filtered by what the form asked for; the form works without a script."""
    shown = [entry for entry in entries if _matches(entry, query)]
    going = f'<p>A run goes on: <a href="/runs/{escape(live)}">watch it</a>.</p>' if live else ""
    of = f" of {len(entries)}" if len(shown) < len(entries) else ""
    said = f"{len(shown)}{of} runs"
    body = f"""<header>
<div class="bar"><p class="facts"><span>Chaos Lab</span><span role="status">{said}</span></p>
{cards.tools()}</div>
<h1>Runs</h1>{going}
</header>
<main id="main">
{_filter(entries, query)}
{_list(shown) if shown else _nothing(entries)}
</main>
{cards.keys_help((("T", "light or dark"), ("?", "this help")))}"""
    return document("Runs of Chaos Lab", body, ("charts.js", "page.js", "library.js"))


def _matches(entry: Entry, query: Mapping[str, str]) -> bool:
    wanted = query.get("experiment", ""), query.get("verdict", ""), query.get("engine", "")
    own = entry.experiment, entry.verdict.value, entry.engine
    text = " ".join((*own, entry.run_id, entry.question, *entry.faults)).lower()
    words = query.get("q", "").lower().split()
    return all(word in text for word in words) and all(
        not value or value == of for value, of in zip(wanted, own, strict=True)
    )


def _filter(entries: Sequence[Entry], query: Mapping[str, str]) -> str:
    choices = {
        "experiment": sorted({entry.experiment for entry in entries}),
        "verdict": [status.value for status in Status],
        "engine": sorted({entry.engine for entry in entries}),
    }
    selects = "".join(_select(n, values, query.get(n, "")) for n, values in choices.items())
    return f"""<form class="filter" method="get" action="/runs" role="search">
<label>Find <input type="search" name="q" value="{escape(query.get("q", ""))}"></label>
{selects}<button type="submit">Filter</button></form>"""


def _select(name: str, values: Sequence[str], chosen: str) -> str:
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>'
        f"{escape(value)}</option>"
        for value in values
    )
    every = f'<option value="">all</option>{options}'
    return f'<label>{name} <select name="{name}">{every}</select></label>'


def _list(entries: Sequence[Entry]) -> str:
    rows = [_row(entry) for entry in entries]
    head = ("run", "experiment", "verdict", "what was broken", "engine", "when", "compare")
    listed = table(head, rows, "Runs, newest first")
    return f"""<form method="get" action="/compare" id="pair">{listed}
<p class="compare"><button type="submit">Compare A with B</button></p></form>"""


def _row(entry: Entry) -> tuple[str, ...]:
    run = escape(entry.run_id)
    words = f"{STATUS_GLYPH[entry.verdict]} {STATUS_WORDS[entry.verdict]}"
    reason = f"<br><small>{escape(entry.reason)}</small>" if entry.reason else ""
    note = "" if entry.replay else "<br><small>rebuilt replay</small>"
    sides = "".join(
        f'<label><input type="radio" name="{side}" value="{run}" required> '
        f'{side.upper()}<span class="hidden"> is run {run}</span></label> '
        for side in ("a", "b")
    )
    return (
        f'<a href="/runs/{run}">{run}</a>{note}',
        f"{escape(entry.experiment)}<br><small>{escape(entry.question)}</small>",
        f'<span class="{_TONES[entry.verdict]}">{words}</span>{reason}',
        "<br>".join(escape(text) for text in entry.faults) or "the load alone",
        escape(entry.engine),
        f"<time>{iso_time(entry.started_unix_s)[:16].replace('T', ' ')} UTC</time>",
        sides,
    )


def _nothing(entries: Sequence[Entry]) -> str:
    if entries:
        return '<p>No run matches. <a href="/runs">Show all</a></p>'
    return "<p>No run yet. <code>make run-experiment</code> makes the first one.</p>"
