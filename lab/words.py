"""What results are called, in words and glyphs: one wording for terminal, report and summary.

A glyph always comes with words, and never colour alone: charts and tables must read in greyscale
and by a screen reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lab.errors import ExitCode
from lab.record import Cost, FaultRecord, Record
from lab.units import format_count, format_duration, format_share, format_size
from lab.verdict import ClaimResult, Status

Tone = Literal["good", "bad", "unknown"]

STATUS_GLYPH = {Status.AS_PREDICTED: "✓", Status.NOT_AS_PREDICTED: "✗", Status.UNKNOWN: "?"}
STATUS_WORDS = {
    Status.AS_PREDICTED: "As predicted",
    Status.NOT_AS_PREDICTED: "Not as predicted",
    Status.UNKNOWN: "Unknown",
}
SIDE_TITLES = {
    "breaks": "Breaks: the claim was predicted to be false",
    "holds": "Holds: the claim was predicted to be true",
    "pays": "Pays: what the design loses, predicted to be true",
    "requires": "Requires: what the run must show to count",
}
_WHERE = re.compile(r" (?:on|of) \S+(?: (?:->|\|) \S+)?$")
_PREDICTED = ", as predicted"
_ASCII = str.maketrans(
    {
        "✓": "+", "✗": "x", "→": ">", "⚡": "!", "·": "-", "×": "x", "≥": ">=", "≤": "<=", "–": "-",
        "…": "...", "▮": "#", "’": "'", "“": '"', "”": '"', "µ": "u", "—": "-",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """How a design came out. `tone` is how the system fared, `predicted` whether that was said."""

    glyph: str
    words: str
    tone: Tone
    predicted: bool

    def __str__(self) -> str:
        return f"{self.glyph} {self.words}"


@dataclass(frozen=True, slots=True)
class Price:
    """One design's costs, in words; columns of the cost table."""

    design: str
    containers: str
    cpu: str
    memory: str
    p50: str


def ascii_only(text: str) -> str:
    """The text for an output that is not UTF-8: glyphs become letters, nothing is lost silently."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def moment(at_s: float) -> str:
    """A moment of a run, as every view writes it: `T+9.2 s`."""
    sign = "-" if at_s < 0 else "+"
    return f"T{sign}{abs(at_s):.1f}".removesuffix(".0") + " s"


def iso_time(unix_s: float) -> str:
    """A wall-clock time in UTC: `2026-11-22T17:45:01+00:00`."""
    return datetime.fromtimestamp(unix_s, tz=UTC).isoformat(timespec="seconds")


def reproduce(record: Record) -> str:
    """The command that runs the same experiment with the same random draws."""
    return f"lab run {record.experiment.path or record.experiment.name} --seed {record.seed}"


def claims_of(record: Record, design: str) -> list[ClaimResult]:
    """The measured claims of one design: what breaks it first, what it pays last."""
    order = list(SIDE_TITLES)
    claims = [claim for claim in record.verdict.claims if claim.design == design]
    return sorted(claims, key=lambda claim: order.index(claim.side))


def broken_since(record: Record, design: str) -> float | None:
    """The first second that broke a claim of the design, None where nothing broke."""
    broken = [
        claim.first_broken_s
        for claim in claims_of(record, design)
        if claim.side in ("holds", "breaks") and claim.true is False
    ]
    return min((at_s for at_s in broken if at_s is not None), default=None)


def design_state(record: Record, design: str) -> State:
    """How a design came out: from its `holds` and `breaks`, with a word on its price."""
    claims = claims_of(record, design)
    judged = [c for c in claims if c.side in ("holds", "breaks")]
    if not judged or any(c.true is None for c in judged):
        return State("?", "unknown", "unknown", predicted=False)
    predicted = all(c.status is Status.AS_PREDICTED for c in judged)
    prices = [c.status for c in claims if c.side == "pays"]
    priced = Status.NOT_AS_PREDICTED not in prices
    price_words = "" if priced else ", but not at the predicted price"
    if any(c.true is False for c in judged):
        since_s = broken_since(record, design)
        since = f" since {moment(since_s)}" if since_s is not None else ""
        suffix = _PREDICTED if predicted else ", not predicted"
        words = f"breaks{since}{suffix}{price_words}"
        return State("✗", words, "bad", predicted and priced)
    suffix = _PREDICTED if predicted else ", though predicted to break"
    return State("✓", f"holds{suffix}{price_words}", "good", predicted and priced)


def verdict_line(record: Record) -> str:
    """The verdict as one sentence: which design breaks, since when, which holds."""
    head = STATUS_WORDS[record.verdict.status]
    if record.verdict.status is Status.UNKNOWN:
        return (
            f"{head}: this run proved nothing ({next(iter(record.verdict.reasons), 'no reason')})."
        )
    states = {name: design_state(record, name).words for name in record.experiment.designs}
    said = "; ".join(f"{n} {words.removesuffix(_PREDICTED)}" for n, words in states.items())
    return f"{head}: {said}."


def result_words(claim: ClaimResult) -> str:
    """`✓ broke since T+9 s`: the glyph says whether that was predicted, the words what happened."""
    glyph = STATUS_GLYPH[claim.status]
    if claim.true is None:
        return f"{glyph} {claim.reason or 'not measured'}"
    if claim.side == "pays":
        return f"{glyph} {'paid' if claim.true else 'not paid'}"
    if claim.true:
        return f"{glyph} {'did not break' if claim.side == 'breaks' else 'held'}"
    since = "" if claim.first_broken_s is None else f" since {moment(claim.first_broken_s)}"
    return f"{glyph} broke{since}"


def fault_short(fault: FaultRecord) -> str:
    """What is done, without where: `latency 200 ms` of `latency 200 ms on app -> db`."""
    return _WHERE.sub("", fault.text)


def fault_at(fault: FaultRecord, host: str) -> str:
    """A fault of one instance, as short as a drawing needs it: `pause app-1`."""
    return f"{fault.kind.replace('_', ' ')} {host}"


def fault_words(fault: FaultRecord) -> str:
    """Whether it bit, and whether it is gone, with the measured lateness of the injection."""
    if fault.injected_s is None:
        return "✗ never injected" + (f": {fault.never}" if fault.never else "")
    late_ms = (fault.injected_s - fault.due_s) * 1000
    since = fault.started_by or "plan"
    bit = "✓ bit" if fault.bit else "✗ did not bite"
    healed = "✓ healed" if fault.healed else "✗ not healed"
    ended = f", ended by {fault.ended_by}" if fault.ended_by else ""
    return f"{bit} ({late_ms:+.0f} ms from {since}){ended}, {healed}"


def price(record: Record, design: str) -> Price:
    """What one design cost while the load was on; a dash where nothing was measured."""
    cost: Cost | None = record.costs.get(design)
    if cost is None:
        return Price(design, "–", "–", "–", _p50(record, design))
    return Price(
        design,
        str(cost.containers),
        f"{format_count(cost.cpu_per_1000)} CPU-s",
        format_size(cost.memory_peak_bytes),
        _p50(record, design),
    )


def price_of_better(record: Record) -> str:
    """One measured sentence: the design that holds beside the first one that breaks.

    Empty where no pair exists or nothing was measured.
    """
    states = {name: design_state(record, name) for name in record.experiment.designs}
    worse = next((name for name, state in states.items() if state.tone == "bad"), None)
    better = next((n for n in reversed(list(states)) if states[n].tone == "good"), None)
    if worse is None or better is None:
        return ""
    old, new = record.costs.get(worse), record.costs.get(better)
    if old is None or new is None:
        return ""
    return (
        f"{better} used {_change(old.cpu_per_1000, new.cpu_per_1000)} CPU per request, "
        f"{_change(old.memory_peak_bytes, new.memory_peak_bytes)} memory and "
        f"{new.containers} instances instead of {old.containers}, compared with {worse}."
        if new.containers != old.containers
        else f"{better} used {_change(old.cpu_per_1000, new.cpu_per_1000)} CPU per request and "
        f"{_change(old.memory_peak_bytes, new.memory_peak_bytes)} memory compared with {worse}, "
        f"in the same number of instances ({new.containers})."
    )


def observer_words(record: Record) -> str:
    """What the lab itself used: `0.24 of 2 cores, 31 % of all CPU spent`."""
    of = f"of {record.host['cores']} cores" if "cores" in record.host else "cores"
    return (
        f"{record.observer_cores:.2f} {of}, {format_share(record.observer_share)} of all CPU spent"
    )


def lag_words(record: Record, design: str) -> str:
    """How late the driver of a design sent, at the 99th percentile."""
    lag = record.lags.get(design)
    if lag is None:
        return "–"
    turned_away = f", {lag.saturated} not sent" if lag.saturated else ""
    return f"p99 {format_duration(lag.p99_s)} of {lag.due:,} operations{turned_away}"


def remedy(record: Record) -> str:
    """The exact command to run next where the outcome asks for one, else ""."""
    if record.exit_code is ExitCode.HEALING_INCOMPLETE:
        return f"lab clean --run {record.run_id}"
    return ""


def _p50(record: Record, design: str) -> str:
    """Median latency in the first phase, when nothing is broken."""
    first = record.experiment.phases[0]
    latencies = sorted(
        op.latency_s
        for op in record.history.ops
        if op.design == design and first.start_s <= op.due_s < first.end_s and op.outcome == "ok"
    )
    return format_duration(latencies[len(latencies) // 2]) if latencies else "–"


def _change(old: float, new: float) -> str:
    """`12 % more`, `8 % less`, `about the same`."""
    if not old:
        return "unmeasured"
    share = new / old - 1
    if abs(share) < 0.03:
        return "about the same"
    if share >= 1:
        return f"{new / old:.1f}x the"
    return f"{abs(share) * 100:.0f} % {'more' if share > 0 else 'less'}"
