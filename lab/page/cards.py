"""The parts that the live page and the report share: what a run's page is made of, with slots.

A slot is an element with `data-slot="NAME"`. The report fills it once; the live page gets new
contents for it whenever they change, rendered by the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from lab.experiment import Experiment
from lab.page.charts import Chart
from lab.words import Tone

KEYS = (
    ("← →", "one second back, one on"),
    ("Home, End", "start and end of the run"),
    ("F", "next fault"),
    ("T", "light or dark"),
    ("?", "this help"),
)
LIVE_KEYS = (
    ("Space", "pause the view (never the run), or play a finished run"),
    ("1 … 9", "show one design alone, or all again"),
    ("L", "jump to the log"),
    ("E", "save the report"),
)


def slot(name: str, inside: str = "", tag: str = "div", css: str = "") -> str:
    """An element whose contents the live page replaces."""
    kind = f' class="{css}"' if css else ""
    return f'<{tag} data-slot="{name}"{kind}>{inside}</{tag}>'


def words(text: str) -> str:
    """Escaped, with no line break between a number and its unit."""
    return re.sub(r"(\d) (%|(?:us|ms|s|[KMG]iB|B)\b)", "\\1\u00a0\\2", escape(text))


def pill(tone: Tone, text: str) -> str:
    """How a design fares, in a rounded frame."""
    return f'<p class="pill {tone}">{escape(text)}</p>'


def why(text: str, more: str = "") -> str:
    """The sentence that explains, and the last second in numbers."""
    said = f"<b>Why</b> {words(text)}" if text else ""
    now = f'<span class="now"><b>Now</b> {words(more)}</span>' if more else ""
    return f'<p class="why">{said}{" " if said and now else ""}{now}</p>'


def verdict(tone: Tone, bold: str, rest: str) -> str:
    """The line on top of everything."""
    return (
        f'<p class="verdict {tone}"><strong>{words(bold)}</strong> <span>{words(rest)}</span></p>'
    )


@dataclass(frozen=True, slots=True)
class Card:
    """One design: its place on the page, its name in the data, and what its slots hold at first.

    `parts` are HTML by slot: `pill`, `drawing`, `why`, `claims`, `words`, `table`.
    """

    index: int
    name: str
    title: str
    charts: Sequence[Chart]
    parts: Mapping[str, str]

    def html(self) -> str:
        """The article, with its slots named `d0.pill` and so on."""

        def part(name: str, css: str = "") -> str:
            return slot(f"d{self.index}.{name}", self.parts.get(name, ""), css=css)

        drawn = "".join(self._chart(chart) for chart in self.charts)
        return f"""<article class="design" id="d{self.index}" aria-label="{escape(self.title)}">
<div class="name"><h2>{escape(self.title)}</h2>{part("pill")}</div>
{part("drawing", "drawing")}
{part("why")}
{drawn}{part("claims", "claims")}
<div>{part("words", "hidden")}{part("table")}</div>
</article>
"""

    def _chart(self, chart: Chart) -> str:
        """A place for charts.js to draw in, its key, and what is to be seen in words."""
        keys = "".join(
            f'<span class="key {css}">{escape(label)} <output></output></span>'
            for css, label in chart.keys
        )
        label = escape(f"{self.title}: {chart.title}. {chart.words}".strip())
        watch = f' data-watch="{chart.watch}"' if chart.kind == "watch" else ""
        said = f"<noscript><p>{escape(chart.words)}</p></noscript>" if chart.words else ""
        return f"""<figure class="chart {chart.kind}">
<figcaption><b>{escape(chart.title)}</b> <small>{escape(chart.unit)}</small>
<span class="keys">{keys}</span></figcaption>
<div class="plot" tabindex="0" role="img" aria-label="{label}" data-kind="{chart.kind}"
 data-design="{escape(self.name)}"{watch}></div>
{said}
</figure>
"""


def grid(cards: Sequence[Card], charts_each: int) -> str:
    """All cards; a narrow column keeps each chart's key on a line of its own, so nothing jumps."""
    many = " many" if len(cards) > 2 else ""
    columns = f" columns-{min(len(cards), 4)} rows-{charts_each}"
    return f'<div class="designs{many}{columns}">{"".join(card.html() for card in cards)}</div>'


def timeline(experiment: Experiment, clock: str) -> str:
    """The clock, the phases to scale, and a slider over them."""
    items = "".join(
        f"<li><span>{escape(phase.name)} {phase.end_s - phase.start_s:g} s</span></li>"
        for phase in experiment.phases
    )
    top = f"{experiment.duration_s:g}"
    return f"""<div class="strip">{slot("clock", clock, css="clock")}
<div class="track"><span class="done"></span><ol class="phases">{items}</ol>
<input type="range" id="scrub" min="0" max="{top}" value="{top}" step="1" disabled
 aria-label="Moment of the run, in seconds"></div></div>"""


def tools(more: str = "") -> str:
    """The buttons of the top line."""
    return (
        f'<div class="tools">{more}<button type="button" id="theme" hidden>Dark</button>'
        '<button type="button" id="ask" aria-label="Keys and help">?</button></div>'
    )


def keys_help(keys: Sequence[tuple[str, str]]) -> str:
    """The dialog that says what the keys do."""
    rows = "".join(
        f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(what)}</dd>" for key, what in keys
    )
    return (
        '<dialog id="help" aria-labelledby="help-title"><h2 id="help-title">Keys</h2>'
        f'<dl>{rows}</dl><button type="button" id="shut">Close</button></dialog>'
    )
