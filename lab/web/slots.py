"""Everything that a page of a run shows beside its charts, as HTML by slot, from the run's state.

Pure: the same state gives the same text. Once the run is judged, its record speaks through the
functions that also make the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from lab.experiment import Experiment, ScheduledFault
from lab.history import Op
from lab.live.provisional import ClaimState
from lab.live.reducer import DesignState, FaultState, Line, RunState
from lab.live.story import answer, broken_at, claim_words, headline, now, story
from lab.page import cards, charts, tables
from lab.page.charts import Numbers
from lab.page.topology_svg import topology_svg
from lab.plan import Deployment
from lab.report import html as report
from lab.topology import Link
from lab.units import format_byte_rate, format_count, format_share
from lab.verdict import Status
from lab.words import Tone, claims_of, design_state, moment, result_words

_LOG_LINES = 200
"""More of the log than this is in the run's folder; a page has to stay light."""

_BAR_W = 70.0
_STATUS_TONES: Mapping[Status, Tone] = {
    Status.AS_PREDICTED: "good",
    Status.NOT_AS_PREDICTED: "bad",
    Status.UNKNOWN: "unknown",
}


def slots(state: RunState, numbers: Numbers | None, missing: str = "") -> dict[str, str]:
    """HTML by slot; `numbers` once the run is judged."""
    if state.hello is None:
        return {"headline": cards.verdict(*headline(state))}
    found = {
        "clock": clock(state),
        "headline": _headline(state),
        "alarm": report.alarm(state.record) if state.record else "",
        "states": states(state),
        "guess": guess(state),
        "log": log(state.log),
        "faults": faults(state),
        "failed": failed(state.failed, missing=missing),
        "instrument": instrument(state),
        "sections": report.sections(state.record) if state.record else "",
        "missing": f'<p class="stale shown">{escape(missing)}</p>' if missing else "",
    }
    for index, name in enumerate(state.designs):
        parts = design(state, name, numbers)
        found |= {f"d{index}.{part}": html for part, html in parts.items()}
    return found


def design(state: RunState, name: str, numbers: Numbers | None) -> dict[str, str]:
    """One design's parts, for the slots of its card."""
    assert state.hello is not None  # noqa: S101 - slots() asks only then
    what, chosen = state.hello.experiment, state.designs[name]
    if numbers is not None:
        return {
            **report.settled(numbers, name),
            "claims": _judged(numbers, name),
            "words": escape(charts.in_words(what, numbers.windows[name])),
        }
    told = story(state, name)
    active = [fault.record for fault in state.faults.values() if fault.active]
    return {
        "pill": cards.pill(told.tone, str(told)),
        "drawing": topology_svg(what, active, name, carried(state, name)),
        "why": cards.why(chosen.why, now(chosen)),
        "claims": claims(chosen, hidden=broken_at(state) is None),
        "words": escape(charts.in_words(what, chosen.seconds)),
        "table": "",
    }


def clock(state: RunState) -> str:
    """`T+26 s` and which phase that is."""
    if state.record is not None:
        return f"{state.record.experiment.duration_s:g} s <small>finished</small>"
    if not state.phase:
        return "– <small>starting</small>"
    return f"{escape(moment(int(state.clock_s)))} <small>{escape(state.phase)}</small>"


def _headline(state: RunState) -> str:
    return report.headline(state.record) if state.record else cards.verdict(*headline(state))


def states(state: RunState) -> str:
    """Each design in one line, for screens on which the cards stand below each other."""
    items = []
    for index, name in enumerate(state.designs):
        told = design_state(state.record, name) if state.record else story(state, name)
        link = f'<a href="#d{index}">{escape(name)}</a>'
        items.append(f'<li>{link} <span class="{told.tone}">{escape(str(told))}</span></li>')
    return f'<ul class="states" aria-label="Designs">{"".join(items)}</ul>'


def guess(state: RunState) -> str:
    """Before the fault two buttons a design; afterwards what was said, and what came of it."""
    if state.may_guess:
        asked = "".join(_question(i, chosen) for i, chosen in enumerate(state.designs.values()))
        return f"<h2>Before it breaks: what will each design do?</h2>{asked}"
    guessed = {name: chosen for name, chosen in state.designs.items() if chosen.guess}
    if not guessed:
        return ""
    said = []
    for name in guessed:
        tone, text = answer(state, name)
        said.append(f'<span>{escape(name)}: <b class="{tone}">{escape(text)}</b></span>')
    return f"<h2>Your prediction</h2>{''.join(said)}"


def _question(index: int, chosen: DesignState) -> str:
    buttons = "".join(
        f'<button type="button" id="guess-{index}-{word}" data-guess="{word}" '
        f'data-design="{escape(chosen.name)}" '
        f'aria-pressed="{"true" if chosen.guess == word else "false"}">{word}</button>'
        for word in ("breaks", "holds")
    )
    return f"<fieldset><legend>{escape(chosen.name)}</legend>{buttons}</fieldset>"


def log(lines: tuple[Line, ...]) -> str:
    """The latest lines, newest first."""
    items = "".join(_line(line) for line in reversed(lines[-_LOG_LINES:]))
    return f'<ol class="log" id="log" tabindex="0" aria-label="Log, newest first">{items}</ol>'


def _line(line: Line) -> str:
    when = "" if line.at_s is None else moment(round(line.at_s, 1))
    return f'<li class="{line.level}"><time>{when}</time><span>{escape(line.text)}</span></li>'


def faults(state: RunState) -> str:
    """What is to be broken, what was, and what was measured of it."""
    assert state.hello is not None  # noqa: S101 - slots() asks only then
    scheduled = state.hello.experiment.faults
    if not scheduled:
        return "<p>Nothing is broken in this experiment: the load alone is the test.</p>"
    rows = []
    for planned in scheduled:
        seen = [f for f in state.faults.values() if f.record.name == planned.name]
        rows += [_fault(planned, fault) for fault in seen] or [_fault(planned, None)]
    head = ("fault", "state", "planned", "in force", "before", "during", "after")
    return tables.table(head, rows, "Injected and measured")


def _fault(planned: ScheduledFault, seen: FaultState | None) -> tuple[str, ...]:
    when = f"{moment(planned.at_s)} to {moment(planned.until_s)}"
    if planned.when is not None:
        when = f"{when}, as soon as {escape(str(planned.when))}"
    if seen is None:
        return (escape(planned.fault.describe()), "· planned", when, "–", "–", "–", "–")
    record = seen.record
    state = {
        "before": "· measured",
        "waiting": "· waits for its condition",
        "never": "✗ never injected",
        "injected": "⚡ injected",
        "bit": "⚡ in force" if record.bit else "✗ no effect seen",
        "healed": "· heal ordered",
        "gone": "✓ gone" if record.healed else "✗ still there",
        "problem": "✗ problem",
    }.get(seen.stage, seen.stage)
    since = "–"
    if record.confirmed_s is not None:
        since = f"T+{record.confirmed_s:.2f} s"
        since += f" to T+{record.healed_s:.2f} s" if record.healed_s is not None else ""
    measured = (escape(text) or "–" for text in (record.before, record.during, record.after))
    where = f"{record.design}: " if record.design else ""
    return (escape(f"{where}{record.text}"), escape(state), when, since, *measured)


def failed(ops: tuple[Op, ...], missing: str = "") -> str:
    """The latest requests that were not answered well, newest first."""
    if not ops:
        return f"<p>{'Not recorded.' if missing else 'None yet.'}</p>"
    rows = [
        (
            f'<span class="number">{moment(round(op.due_s, 2))}</span>',
            escape(op.design),
            escape(f"{op.request} {op.key}".strip()),
            escape(op.error),
            f'<span class="number">{op.status or "–"}</span>',
            f'<span class="number">{op.attempts}</span>',
            f'<span class="number">{op.done_s - op.due_s:.3f} s</span>',
        )
        for op in reversed(ops)
    ]
    head = ("due", "design", "request", "why", "status", "tries", "took")
    return tables.table(head, rows, "Last failed requests")


def instrument(state: RunState) -> str:
    """What the lab itself costs: it runs on the same machine."""
    if state.observed is None:
        return "<p>The lab's own share of the CPU: not measured yet.</p>"
    seen = state.observed
    return (
        f"<p>The lab itself uses {seen.cores:.2f} cores, {format_share(seen.share)} of all CPU "
        f"spent ({moment(seen.at_s)}).</p>"
    )


def claims(chosen: DesignState, *, hidden: bool) -> str:
    """Where the claims stand; what they predict is told only once something is broken."""
    rows = []
    for claim in chosen.claims:
        tone, text = claim_words(claim)
        said = (
            "" if hidden else f"<small>{'breaks' if claim.side == 'breaks' else claim.side}</small>"
        )
        rows.append(
            (
                f"<code>{escape(str(claim.claim))}</code>",
                *([] if hidden else [said]),
                _budget(claim),
                f'<span class="{tone}">{escape(text)}</span>',
            )
        )
    side = () if hidden else ("predicted",)
    head = ("claim", *side, "bad requests", "so far")
    return tables.table(head, rows, f"Claims about {chosen.name}")


def _budget(claim: ClaimState) -> str:
    """Requests that went against the claim so far, beside as many as it allows."""
    if claim.status not in ("holding", "broken") or not claim.budget:
        return "–"
    full = max(claim.used, claim.budget)
    used, over = min(claim.used, claim.budget), max(0.0, claim.used - claim.budget)
    words = f"{format_count(round(claim.used))}, {format_count(round(claim.budget))} allowed"
    return (
        f'<span class="number">{words}</span>'
        f'<svg class="budget" viewBox="0 0 {_BAR_W:g} 8" role="img" aria-label="{words}">'
        f'<rect width="{_BAR_W:g}" height="8"/>'
        f'<rect class="used" width="{_BAR_W * used / full:.1f}" height="8"/>'
        f'<rect class="over" x="{_BAR_W * used / full:.1f}" '
        f'width="{_BAR_W * over / full:.1f}" height="8"/></svg>'
    )


def _judged(numbers: Numbers, name: str) -> str:
    rows = [
        (
            f"<code>{escape(claim.claim)}</code>",
            f"<small>{claim.side}</small>",
            f'<span class="number">{escape(claim.measured)}</span>',
            f'<span class="{_STATUS_TONES[claim.status]}">{escape(result_words(claim))}</span>',
        )
        for claim in claims_of(numbers.record, name)
    ]
    return tables.table(
        ("claim", "predicted", "measured", "came out"), rows, f"Claims about {name}"
    )


def carried(state: RunState, name: str) -> dict[Link, str]:
    """What each link of a design carries now: bytes per second over all its ends."""
    if state.hello is None or len(state.carried) < 2:
        return {}
    before, after = state.carried
    seconds = after.at_s - before.at_s
    if seconds <= 0:
        return {}
    totals: dict[Link, float] = {}
    for link, end in _ends(state.hello.deployment, name):
        grown = after.links.get(end, 0) - before.links.get(end, 0)
        totals[link] = totals.get(link, 0.0) + max(0, grown) / seconds
    return {link: format_byte_rate(rate) if rate else "idle" for link, rate in totals.items()}


def _ends(deployment: Deployment, name: str) -> Iterator[tuple[Link, str]]:
    for end in deployment.ends:
        if end.design in ("", name):
            yield end.link, end.name


def facts(state: RunState) -> list[str]:
    """What runs, in a few words each."""
    if state.hello is None:
        return []
    hello = state.hello
    what: Experiment = hello.experiment
    return [
        what.name,
        f"phase: {what.phase}",
        f"{hello.engine}: {hello.engine_reason}",
        f"seed {hello.seed}",
        f"run {hello.run_id}",
    ]
