"""`report.html`: one self-contained page. Opens offline, loads nothing, says its verdict in text.

Style, script, chart library and data are all inline; the content security policy allows exactly
these by their hashes and nothing else, so even a hostile string in a run could not run or phone
home.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files

from lab.page import charts, tables
from lab.page.topology_svg import topology_svg
from lab.record import Record
from lab.verdict import Status
from lab.words import (
    STATUS_GLYPH,
    STATUS_WORDS,
    State,
    design_state,
    price_of_better,
    remedy,
    reproduce,
    verdict_line,
)

_STATIC = files("lab.page") / "static"
_UPLOT = "vendor/uplot-1.6.32"
_REASONS = 3
"""So many reasons are shown unfolded: the designs must stay on the first screen."""

_TONES = {Status.AS_PREDICTED: "good", Status.NOT_AS_PREDICTED: "bad", Status.UNKNOWN: "unknown"}


def page(record: Record) -> str:
    """The whole document."""
    what, numbers = record.experiment, charts.Numbers.of(record)
    style = _asset(f"{_UPLOT}/uPlot.min.css") + _asset("page.css") + _columns(record)
    script = _asset(f"{_UPLOT}/uPlot.iife.min.js") + "\n" + _asset("charts.js")
    title = f"{STATUS_GLYPH[record.verdict.status]} {what.name}: {what.question}"
    said = escape(verdict_line(record))
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
<main>
<div class="{_grid(record)}">
{"".join(_design(numbers, name) for name in what.designs)}
</div>
{_sections(record)}
</main>
<script type="application/json" id="data">{_json(charts.data(numbers))}</script>
<script>{script}</script>
</body>
</html>
"""


@cache
def _asset(path: str) -> str:
    """A text file of the package; a `</script` in a string must not end the element."""
    return (_STATIC / path).read_text(encoding="utf-8").replace("</script", "<\\/script")


def _policy(script: str, style: str) -> str:
    hashes = [b64encode(sha256(text.encode()).digest()).decode("ascii") for text in (script, style)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(body: object) -> str:
    """JSON that cannot close its script element."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _grid(record: Record) -> str:
    """Narrow columns keep each chart's key on a line of its own, so that nothing jumps."""
    return "designs many" if len(record.experiment.designs) > 2 else "designs"


def _columns(record: Record) -> str:
    """Number of columns, and of rows that the designs' cards share so that charts line up."""
    designs = len(record.experiment.designs)
    rows = 7 + len(record.experiment.watch)
    return f":root{{--designs:{designs}}}.design{{grid-row:span {rows}}}"


def _header(record: Record) -> str:
    what, status = record.experiment, record.verdict.status
    facts = [what.name, f"phase: {what.phase}", record.engine, f"seed {record.seed}"]
    facts += [f"run {record.run_id}", f"{what.duration_s:g} s of load"]
    if record.interrupted:
        facts.append(f"interrupted: {record.interrupted}")
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    return f"""<header>
<div class="bar"><p class="facts">{spans}</p>
<button type="button" id="theme" hidden>Dark</button></div>
<h1>{escape(what.question)}</h1>
<p class="verdict {_TONES[status]}"><strong>{STATUS_GLYPH[status]} {STATUS_WORDS[status]}</strong>
<span>{_words(_after_colon(record))}</span> <span>{escape(_score(record))}</span></p>
{_reasons(record)}{_left_behind(record)}
</header>"""


def _after_colon(record: Record) -> str:
    """The verdict's sentence without the words that stand before it in bold."""
    return verdict_line(record).partition(": ")[2]


def _score(record: Record) -> str:
    claims = record.verdict.claims
    if record.verdict.status is Status.UNKNOWN:
        return ""
    right = sum(claim.status is Status.AS_PREDICTED for claim in claims)
    return f"{right} of {len(claims)} claims came out as predicted."


def _words(text: str) -> str:
    """Escaped, with no line break between a number and its unit."""
    return re.sub(r"(\d) (%|(?:us|ms|s|[KMG]iB|B)\b)", "\\1\u00a0\\2", escape(text))


def _reasons(record: Record) -> str:
    """Everything that is wrong with it; the verdict's sentence has the first of an unknown one."""
    reasons = record.verdict.reasons
    if record.verdict.status is Status.UNKNOWN:
        reasons = reasons[1:]
    items = [f"<li>{_words(reason)}</li>" for reason in reasons]
    shown, folded = "".join(items[:_REASONS]), "".join(items[_REASONS:])
    more = f"<details><summary>{len(items) - _REASONS} more</summary><ul>{folded}</ul></details>"
    return f'<div class="reasons"><ul>{shown}</ul>{more if folded else ""}</div>' if items else ""


def _left_behind(record: Record) -> str:
    """Full width and loud: something of the run may still be broken."""
    if not (record.residue or remedy(record)):
        return ""
    items = "".join(f"<li>{escape(what)}</li>" for what in record.residue)
    command = (
        f"<p>Clear it with <code>{escape(remedy(record))}</code></p>" if remedy(record) else ""
    )
    head = "<strong>✗ Healing is incomplete</strong>"
    return f'<div class="alarm">{head}<ul>{items}</ul>{command}</div>'


def _design(numbers: charts.Numbers, name: str) -> str:
    """One column: state, topology, why, charts."""
    record = numbers.record
    state = design_state(record, name)
    why = record.whys.get(name, "")
    drawn = "".join(_chart(name, chart) for chart in charts.charts(numbers, name))
    return f"""<article class="design" aria-label="{escape(name)}">
<div class="name"><h2>{escape(name)}</h2>{_pill(state)}</div>
{topology_svg(record.experiment, record.faults, name)}
<p class="why">{f"<b>Why</b> {_words(why)}" if why else ""}</p>
{drawn}{tables.seconds(numbers.windows[name], name)}
</article>
"""


def _pill(state: State) -> str:
    return f'<p class="pill {state.tone}">{escape(str(state))}</p>'


def _chart(design: str, chart: charts.Chart) -> str:
    """A place for charts.js to draw in, its key, and what is to be seen in words."""
    keys = "".join(
        f'<span class="key {css}">{escape(label)} <output></output></span>'
        for css, label in chart.keys
    )
    label = escape(f"{design}: {chart.title}. {chart.words}")
    bounds = f' data-watch="{chart.watch}"' if chart.kind == "watch" else ""
    return f"""<figure class="chart {chart.kind}">
<figcaption><b>{escape(chart.title)}</b> <small>{escape(chart.unit)}</small>
<span class="keys">{keys}</span></figcaption>
<div class="plot" tabindex="0" role="img" aria-label="{label}" data-kind="{chart.kind}"
 data-design="{escape(design)}"{bounds}></div>
<noscript><p>{escape(chart.words)}</p></noscript>
</figure>
"""


def _sections(record: Record) -> str:
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
        "Conditions of the verdict": tables.guards(record),
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
