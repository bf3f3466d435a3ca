"""Two runs beside each other on one time axis: run A on the left, run B on the right.

Designs of the same name share a row, so that one crosshair and one scale go over both; what only
one of the runs has stands below, on its side.
"""

from __future__ import annotations

from html import escape
from typing import Any

from lab.page import cards, charts, tables
from lab.page.assets import UPLOT, json_for_html
from lab.page.charts import Chart, Numbers
from lab.report import html as report
from lab.verdict import ClaimResult
from lab.web.shell import document
from lab.words import claims_of, iso_time, result_words

_SIDES = ("A", "B")


def page(a: Numbers, b: Numbers) -> str:
    """The document."""
    places = _places(a, b)
    watch = _watch(a, b)
    plain = _charts(a, watch)
    made = []
    for index, (side, name) in enumerate(places):
        numbers = a if side == "A" else b
        parts = {k: v for k, v in report.settled(numbers, name).items() if k != "table"}
        made.append(cards.Card(index, f"{side} {name}", f"{side} · {name}", plain, parts))
    longer = max((a, b), key=lambda n: n.record.experiment.duration_s).record.experiment
    body = f"""<header>
<div class="bar"><p class="facts"><a href="/runs">All runs</a><span>A against B</span></p>
{cards.tools()}</div>
<h1>{_title(a, b)}</h1>
{cards.timeline(longer, "compared")}
<div class="sides">{_side("A", a)}{_side("B", b)}</div>
</header>
<main id="main">
{cards.grid(made, len(plain)).replace("columns-3", "columns-2").replace("columns-4", "columns-2")}
<section><h2>Claims, side by side</h2>{_claims(a, b)}</section>
</main>
{cards.keys_help(cards.KEYS)}
<script type="application/json" id="data">{json_for_html(_data(a, b, watch))}</script>"""
    scripts = (f"{UPLOT}/uPlot.iife.min.js", "charts.js", "page.js", "offline.js")
    return document(f"{_title(a, b)}: compared", body, scripts)


def _title(a: Numbers, b: Numbers) -> str:
    names = [numbers.record.experiment.name for numbers in (a, b)]
    return escape(names[0] if names[0] == names[1] else f"{names[0]} and {names[1]}")


def _side(side: str, numbers: Numbers) -> str:
    record = numbers.record
    run = escape(record.run_id)
    return (
        f'<div><p class="facts"><b>{side}</b><a href="/runs/{run}">run {run}</a>'
        f"<span>{escape(record.engine)}</span><span>{iso_time(record.started_unix_s)}</span></p>"
        f"{report.headline(record)}</div>"
    )


def _places(a: Numbers, b: Numbers) -> list[tuple[str, str]]:
    """(side, design) in the order of the page; the shared ones first, A before B."""
    names = {s: list(n.record.experiment.designs) for s, n in zip(_SIDES, (a, b), strict=True)}
    both = [name for name in names["A"] if name in names["B"]]
    only = {side: [name for name in of if name not in both] for side, of in names.items()}
    places = [(side, name) for name in both for side in _SIDES]
    for row in range(max(map(len, only.values()))):
        places += [(side, only[side][row]) for side in _SIDES if row < len(only[side])]
    return places


def _watch(a: Numbers, b: Numbers) -> list[str]:
    """Metrics that both watch: only those can be compared."""
    return [m for m in a.record.experiment.watch if m in b.record.experiment.watch]


def _charts(a: Numbers, watch: list[str]) -> list[Chart]:
    what = a.record.experiment.model_copy(update={"watch": tuple(watch)})
    return charts.plain(what)


def _data(a: Numbers, b: Numbers, watch: list[str]) -> dict[str, Any]:
    """Both runs' columns over the longer time; faults carry the side they belong to."""
    drawn = {side: charts.data(n) for side, n in zip(_SIDES, (a, b), strict=True)}
    longer = max(drawn.values(), key=lambda data: data["duration"])
    designs = {}
    for side, numbers in zip(_SIDES, (a, b), strict=True):
        order = [list(numbers.record.experiment.watch).index(metric) for metric in watch]
        for name, design in drawn[side]["designs"].items():
            columns = [design["watch"][index] for index in order]
            designs[f"{side} {name}"] = {**design, "watch": columns}
    return {**longer, "compared": True, "designs": designs, "faults": _faults(drawn)}


def _faults(drawn: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The bands: once where both runs had the same, else each on its own side's charts."""
    windows = [[_window(fault) for fault in drawn[side]["faults"]] for side in _SIDES]
    if windows[0] == windows[1]:
        return list(drawn["A"]["faults"])
    return [
        {**fault, "name": f"{side} {fault['name']}", "side": side}
        for side in _SIDES
        for fault in drawn[side]["faults"]
    ]


def _window(fault: dict[str, Any]) -> tuple[str, str, int, int]:
    """What makes two bands one: the same fault within the same second."""
    return fault["text"], fault["design"], round(fault["from"]), round(fault["to"])


def _claims(a: Numbers, b: Numbers) -> str:
    """Every claim with what A and B measured."""
    found: dict[tuple[str, str], list[ClaimResult | None]] = {}
    for number, numbers in enumerate((a, b)):
        for name in numbers.record.experiment.designs:
            for claim in claims_of(numbers.record, name):
                found.setdefault((name, claim.claim), [None, None])[number] = claim
    rows = [
        (escape(name), f"<code>{escape(claim)}</code>", *(_measured(c) for c in both))
        for (name, claim), both in found.items()
    ]
    return tables.table(("design", "claim", "A", "B"), rows, "Claims of both runs")


def _measured(claim: ClaimResult | None) -> str:
    if claim is None:
        return "–"
    return f'<span class="number">{escape(claim.measured)}</span> {escape(result_words(claim))}'
