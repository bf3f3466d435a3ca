"""`report.html`: one self-contained page. Opens offline, loads nothing, says its verdict in text.

Style, script, chart library and data are all inline; the content security policy allows exactly
these by their hashes and nothing else, so even a hostile string in a run could not run or phone
home.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape

from lab.page import cards, charts, tables
from lab.page.assets import SCRIPTS, UPLOT, asset, json_for_html
from lab.page.topology_svg import topology_svg
from lab.record import Record
from lab.verdict import Status
from lab.words import (
    STATUS_GLYPH,
    STATUS_WORDS,
    Tone,
    design_state,
    price_of_better,
    remedy,
    reproduce,
    verdict_line,
)

_REASONS = 3
"""So many reasons are shown unfolded: the designs must stay on the first screen."""

_TONES: dict[Status, Tone] = {
    Status.AS_PREDICTED: "good",
    Status.NOT_AS_PREDICTED: "bad",
    Status.UNKNOWN: "unknown",
}


def page(record: Record) -> str:
    """The whole document."""
    what, numbers = record.experiment, charts.Numbers.of(record)
    style = asset(f"{UPLOT}/uPlot.min.css") + asset("page.css")
    script = "\n".join(asset(name) for name in SCRIPTS)
    title = f"{STATUS_GLYPH[record.verdict.status]} {what.name}: {what.question}"
    said = escape(verdict_line(record))
    all_cards = [_card(numbers, index, name) for index, name in enumerate(what.designs)]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="{said}">
<meta property="og:title" content="{escape(title)}">
<meta property="og:description" content="{said}">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
{_header(record)}
<main id="main">
{cards.grid(all_cards, len(all_cards[0].charts))}
{sections(record)}
</main>
{cards.keys_help(cards.KEYS)}
<script type="application/json" id="data">{json_for_html(charts.data(numbers))}</script>
<script>{script}</script>
</body>
</html>
"""


def _policy(script: str, style: str) -> str:
    hashes = [b64encode(sha256(text.encode()).digest()).decode("ascii") for text in (script, style)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _header(record: Record) -> str:
    what = record.experiment
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts(record))
    return f"""<header>
<div class="bar"><p class="facts">{spans}</p>
{cards.tools()}</div>
<h1>{escape(what.question)}</h1>
{cards.timeline(what, f"{what.duration_s:g} s of load")}
{headline(record)}
{alarm(record)}
</header>"""


def facts(record: Record) -> list[str]:
    """What ran, in a few words each."""
    what = record.experiment
    said = [what.name, f"phase: {what.phase}", record.engine, f"seed {record.seed}"]
    said.append(f"run {record.run_id}")
    return [*said, f"interrupted: {record.interrupted}"] if record.interrupted else said


def headline(record: Record) -> str:
    """The verdict and its reasons."""
    status = record.verdict.status
    bold = f"{STATUS_GLYPH[status]} {STATUS_WORDS[status]}"
    rest = f"{_after_colon(record)} {_score(record)}".strip()
    return cards.verdict(_TONES[status], bold, rest) + _reasons(record)


def _after_colon(record: Record) -> str:
    """The verdict's sentence without the words that stand before it in bold."""
    return verdict_line(record).partition(": ")[2]


def _score(record: Record) -> str:
    claims = record.verdict.claims
    if record.verdict.status is Status.UNKNOWN:
        return ""
    right = sum(claim.status is Status.AS_PREDICTED for claim in claims)
    return f"{right} of {len(claims)} claims came out as predicted."


def _reasons(record: Record) -> str:
    """Everything that is wrong with it; the verdict's sentence has the first of an unknown one."""
    reasons = record.verdict.reasons
    if record.verdict.status is Status.UNKNOWN:
        reasons = reasons[1:]
    items = [f"<li>{cards.words(reason)}</li>" for reason in reasons]
    shown, folded = "".join(items[:_REASONS]), "".join(items[_REASONS:])
    more = f"<details><summary>{len(items) - _REASONS} more</summary><ul>{folded}</ul></details>"
    return f'<div class="reasons"><ul>{shown}</ul>{more if folded else ""}</div>' if items else ""


def alarm(record: Record) -> str:
    """Full width and loud: something of the run may still be broken."""
    if not (record.residue or remedy(record)):
        return ""
    items = "".join(f"<li>{escape(what)}</li>" for what in record.residue)
    command = (
        f"<p>Clear it with <code>{escape(remedy(record))}</code></p>" if remedy(record) else ""
    )
    head = "<strong>✗ Healing is incomplete</strong>"
    return f'<div class="alarm">{head}<ul>{items}</ul>{command}</div>'


def _card(numbers: charts.Numbers, index: int, name: str) -> cards.Card:
    return cards.Card(index, name, name, charts.charts(numbers, name), settled(numbers, name))


def settled(numbers: charts.Numbers, name: str) -> dict[str, str]:
    """One design's parts once its run is judged, for the slots of its card."""
    record = numbers.record
    state = design_state(record, name)
    return {
        "pill": cards.pill(state.tone, str(state)),
        "drawing": topology_svg(record.experiment, record.faults, name),
        "why": cards.why(record.whys.get(name, "")),
        "table": tables.seconds(numbers.windows[name], name),
    }


def sections(record: Record) -> str:
    """Everything below the designs: tables, lesson, sources, facts."""
    what = record.experiment
    better = price_of_better(record)
    sections = {
        "Claims": tables.claims(record),
        "What the better design costs": (f"<p>{escape(better)}</p>" if better else "")
        + tables.prose(what.costs)
        + tables.costs(record),
        "What was broken": tables.faults(record),
        "Lesson": tables.prose(what.lesson),
        "Sources": tables.sources(record),
        "What the verdict rests on": tables.guards(record),
        "The instrument": tables.instrument(record),
        "This run": tables.facts(record) + _again(record),
    }
    return "".join(
        f"<section><h2>{title}</h2>{body}</section>" for title, body in sections.items() if body
    )


def _again(record: Record) -> str:
    text, path = record.experiment.text, escape(record.experiment.path)
    file = f"<details><summary>{path}</summary><pre>{escape(text)}</pre></details>"
    return (
        f"<p>Run it again with the same arrivals, keys and mix (the network's timing is its own): "
        f"<code>{escape(reproduce(record))}</code><br>Judge this run again from its files: "
        f"<code>lab check {escape(record.run_id)}</code></p>{file if text else ''}"
    )
