"""The documents that the server sends: pages of a run, the library, a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from lab.page import cards, charts
from lab.page.assets import UPLOT, json_for_html
from lab.web.frames import View
from lab.web.slots import facts

_SCRIPTS = (f"{UPLOT}/uPlot.iife.min.js", "charts.js", "page.js")

_PLAY = '<svg viewBox="0 0 12 12" aria-hidden="true"><path d="M2 1 L11 6 L2 11 Z"/></svg>'
_SPEEDS = ("0.5", "1", "2", "4", "8")


def document(title: str, body: str, scripts: tuple[str, ...]) -> str:
    """A whole page that loads its style and scripts from this server and nothing else."""
    loaded = "".join(f'<script src="/static/{name}" defer></script>\n' for name in scripts)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/{UPLOT}/uPlot.min.css">
<link rel="stylesheet" href="/static/page.css">
{loaded}</head>
<body>
<a class="skip" href="#main">Skip to the designs</a>
{body}
</body>
</html>
"""


def starting(text: str) -> str:
    """Before the run says what it is: this page asks again by itself."""
    body = f"""<header><h1>Starting</h1></header>
<main id="main"><p role="status">{escape(text or "asking the engine")}</p></main>"""
    return document("Starting", body, ("wait.js",))


def run_page(view: View, run_id: str, *, growing: bool, token: str) -> str:
    """The page of a run, complete without its script but for the charts."""
    state = view.state
    assert state.hello is not None  # noqa: S101 - the app sends `starting` before
    what = state.hello.experiment
    plain = charts.plain(what)
    all_cards = [
        cards.Card(index, name, name, plain, _parts(view.slots, index))
        for index, name in enumerate(what.designs)
    ]
    spans = "".join(f"<span>{escape(fact)}</span>" for fact in facts(state))
    settings = {"run": run_id, "token": token, "growing": growing, "n": view.count}
    body = f"""<header>
<div class="bar"><p class="facts"><a href="/runs">All runs</a>{spans}</p>
{cards.tools(_run_tools(run_id))}</div>
<h1>{escape(what.question)}</h1>
{cards.timeline(what, view.slots["clock"])}
<p class="stale" id="stale" role="status"></p>
{_slot(view, "missing")}{_slot(view, "headline")}{_slot(view, "alarm")}{_slot(view, "states")}
{cards.slot("guess", view.slots["guess"], css="guess")}
<p class="hidden" id="told" aria-live="polite"></p>
</header>
<main id="main">
{cards.grid(all_cards, len(plain))}
<div class="below">
<section><h2>Log</h2>{_slot(view, "log")}</section>
<div><section><h2>Injected and measured</h2>{_slot(view, "faults")}</section>
<section><h2>Last failed requests</h2>{_slot(view, "failed")}</section>
<section><h2>The observer</h2>{_slot(view, "instrument")}</section></div>
</div>
{_slot(view, "sections")}
</main>
{cards.keys_help((*cards.LIVE_KEYS, *cards.KEYS))}
<script type="application/json" id="settings">{json_for_html(settings)}</script>"""
    return document(f"{what.name}: {what.question}", body, (*_SCRIPTS, "live.js"))


def _slot(view: View, name: str) -> str:
    return cards.slot(name, view.slots[name])


def _parts(slots: Mapping[str, str], index: int) -> dict[str, str]:
    """One design's slots without their prefix."""
    prefix = f"d{index}."
    return {n.removeprefix(prefix): html for n, html in slots.items() if n.startswith(prefix)}


def _run_tools(run_id: str) -> str:
    options = "".join(
        f'<option value="{speed}"{" selected" if speed == "1" else ""}>{speed}×</option>'
        for speed in _SPEEDS
    )
    where = escape(f"/runs/{run_id}/report.html")
    return (
        f'<button type="button" id="play">{_PLAY}<span>Play</span></button>'
        f'<select id="speed" aria-label="Speed of the replay">{options}</select>'
        f'<a class="button" id="export" href="{where}" download>Save report</a>'
    )
