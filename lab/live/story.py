"""How each design fares right now, in a word and a number: what a stranger reads first.

Claims come first: a design fails from the first second that went over the bound of one. Where no
claim can be followed while the run goes, symptoms are told: failures, or answers much later than
in the baseline. A design that failed has recovered by the same measure that the checker uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lab.checkers.measures import RECOVERED_FOR_S, RECOVERED_OK_PERCENT, RECOVERED_SLACK_S
from lab.live.provisional import ClaimState, beyond, failing
from lab.live.reducer import DesignState, RunState, Window
from lab.record import FaultRecord
from lab.units import format_count, format_duration, format_share
from lab.words import Tone, moment

_SLOW_TIMES = 5.0
"""A median this many times the baseline's is worth a word, if it is not short anyway."""

_SLOW_S = 0.1
_GROWTH_S = 5
"""Open requests are compared with those of so many seconds before."""


@dataclass(frozen=True, slots=True)
class Story:
    """`state` is `waiting`, `healthy`, `holding`, `straining`, `failing` or `recovered`.

    `since_s` is when it began to fail, `recovered_s` when it was well again.
    """

    state: str
    glyph: str
    words: str
    tone: Tone
    since_s: float | None = None
    recovered_s: float | None = None

    def __str__(self) -> str:
        return f"{self.glyph} {self.words}"


def story(state: RunState, name: str) -> Story:
    """How one design fares after the state's messages."""
    design = state.designs[name]
    if not design.seconds:
        return Story("waiting", "·", "starting", "unknown")
    since_s, whole = _failing_since(state, design)
    if since_s is not None:
        recovered_s = _recovered(state, design, since_s)
        if recovered_s is None:
            return Story("failing", "✗", f"failing since {moment(since_s)}", "bad", since_s)
        words = f"failed {moment(since_s)}, recovered {moment(recovered_s)}"
        if whole:
            return Story("recovered", "✗", words, "bad", since_s, recovered_s)
    return _unharmed(state, design)


def _unharmed(state: RunState, design: DesignState) -> Story:
    """A design that breaks no claim: what may be unusual about it nevertheless."""
    if broken_at(state, design.name) is None:
        return Story("healthy", "✓", "healthy so far", "good")
    symptom = _symptom(state, design)
    if symptom and any(beyond(claim, design.last) for claim in design.claims):
        return Story("straining", "!", symptom, "unknown")
    if any(claim.status == "holding" for claim in design.claims):
        return Story("holding", "✓", f"holding, {symptom}" if symptom else "holding", "good")
    if symptom:
        return Story("straining", "!", symptom, "unknown")
    return Story("holding", "✓", "no harm seen", "good")


def faults_in(state: RunState, name: str) -> list[FaultRecord]:
    """The faults of one design that were injected; one without a design of its own is in all."""
    records = (fault.record for fault in state.faults.values())
    return [r for r in records if r.design in ("", name) and r.injected_s is not None]


def broken_at(state: RunState, name: str = "") -> float | None:
    """When the first fault was injected, in one design or anywhere; None before it."""
    records = [fault.record for fault in state.faults.values()]
    moments = [r.injected_s for r in records if not name or r.design in ("", name)]
    return min((at_s for at_s in moments if at_s is not None), default=None)


def _failing_since(state: RunState, design: DesignState) -> tuple[float | None, bool]:
    """The first second over a claim's bound, and whether a claim is beyond its budget for good."""
    first = failing(design.claims)
    if first is not None and first.since_s is not None:
        return first.since_s, any(claim.status == "broken" for claim in design.claims)
    at_s = broken_at(state, design.name)
    if at_s is not None and _bad_share(design.seconds[-1]) > 0.5:
        return _first_of_run(design.seconds, at_s), False
    return None, False


def _first_of_run(seconds: Sequence[Window], from_s: float) -> float:
    """The first second, after a moment, of the unbroken run of mostly bad ones at the end."""
    first = seconds[-1]["t"]
    for window in reversed(seconds):
        if window["t"] < int(from_s) or _bad_share(window) <= 0.5:
            break
        first = window["t"]
    return float(first)


def _bad_share(window: Window) -> float:
    return (window["fail"] + window["info"]) / window["due"] if window["due"] else 0.0


def baseline(state: RunState, design: DesignState) -> list[Window]:
    """Its seconds before anything was broken, without the first, which warms up."""
    end_s = broken_at(state, design.name)
    if end_s is None and state.hello is not None:
        end_s = state.hello.experiment.phases[0].end_s
    return [w for w in design.seconds[1:] if end_s is None or w["t"] + 1 <= end_s]


def baseline_p50(state: RunState, design: DesignState) -> float | None:
    """The median of the baseline's per-second medians."""
    known = [w["p50"] for w in baseline(state, design) if w["p50"] is not None]
    return median(known) if known else None


def _recovered(state: RunState, design: DesignState, since_s: float) -> float | None:
    """The first of the good seconds in a row that count as recovery, after every heal."""
    heals = [fault.healed_s for fault in faults_in(state, design.name)]
    if not heals or any(at_s is None for at_s in heals):
        return None
    base_s = baseline_p50(state, design)
    from_s = max(since_s, *(at_s for at_s in heals if at_s is not None))
    run: list[Window] = []
    for window in design.seconds:
        if window["t"] < int(from_s):
            continue
        run = [*run, window] if _is_good(window, base_s) else []
        if len(run) == RECOVERED_FOR_S:
            return float(run[0]["t"])
    return None


def _is_good(window: Window, base_s: float | None) -> bool:
    if not window["due"] or _bad_share(window) > 1 - RECOVERED_OK_PERCENT / 100:
        return False
    limit_s = max(2 * base_s, base_s + RECOVERED_SLACK_S) if base_s is not None else None
    return limit_s is None or (window["p50"] or 0.0) <= limit_s


def _symptom(state: RunState, design: DesignState) -> str:
    """What is unusual about the last second, in words; "" where nothing is."""
    last = design.seconds[-1]
    if not last["due"]:
        return ""
    if (bad := _bad_share(last)) > 1 - RECOVERED_OK_PERCENT / 100:
        return f"{format_share(bad)} fail"
    base_s = baseline_p50(state, design)
    if base_s and (last["p50"] or 0.0) > max(_SLOW_S, _SLOW_TIMES * base_s):
        return f"slow: p50 {format_duration(last['p50'])}"
    return ""


def now(design: DesignState) -> str:
    """The last second in numbers: `40 requests ended: 12 ok, 28 failed (refused 28); 9 open`."""
    if not design.seconds:
        return ""
    last = design.seconds[-1]
    said = f"{last['due']} requests ended: {last['ok']} ok"
    for key, word in (("fail", "failed"), ("info", "unknown")):
        if last[key]:
            said += f", {last[key]} {word}"
    if design.errors:
        reasons = sorted(design.errors.items(), key=lambda item: (-item[1], item[0]))
        said += f" ({', '.join(f'{reason} {count}' for reason, count in reasons[:3])})"
    said += f"; {last['in_flight']} open"
    earlier = design.seconds[-_GROWTH_S - 1 : -1]
    if len(earlier) == _GROWTH_S and last["in_flight"]:
        growth = (last["in_flight"] - earlier[0]["in_flight"]) / _GROWTH_S
        if abs(growth) >= 1:
            said += f", {'+' if growth > 0 else '−'}{format_count(abs(growth))} every second"
    return said + "."


def headline(state: RunState) -> tuple[Tone, str, str]:
    """The run in one line: tone, the bold words, and the rest of the sentence.

    Which design fails, since when, because of what; before that, what is waited for.
    """
    if state.hello is None or not state.phase:
        return "unknown", "Starting", state.waiting_for or "asking the engine"
    stories = {name: story(state, name) for name in state.designs}
    failing = {n: s for n, s in stories.items() if s.state == "failing"}
    if failing:
        first = min(failing, key=lambda name: failing[name].since_s or 0.0)
        names = _names(list(failing))
        verb = "is" if len(failing) == 1 else "are"
        since = moment(failing[first].since_s or 0.0)
        return "bad", f"{names} {verb} failing since {since}", _cause(state, first, stories)
    at_s = broken_at(state)
    if at_s is None:
        return "good", f"All {len(stories)} designs are healthy", _countdown(state)
    return _after(state, stories)


def _after(state: RunState, stories: dict[str, Story]) -> tuple[Tone, str, str]:
    """The headline while nothing fails, once something was broken."""
    was = {n: s for n, s in stories.items() if s.state == "recovered"}
    straining = {n: s for n, s in stories.items() if s.state == "straining"}
    told = active(state)
    without = [f.record for f in state.faults.values() if f.stage == "bit" and not f.record.bit]
    if without:
        said = f"{without[0].text}: measured {without[0].during or 'nothing'}."
        return "unknown", "The fault shows no effect", f"{said} Does traffic go round its proxy?"
    rest = f"⚡ {told} is in force." if told else "Every fault is gone."
    if straining:
        said = "; ".join(f"{name}: {s.words}" for name, s in straining.items())
        return "unknown", f"{_names(list(straining))} feel{_s(straining)} it", f"{said}. {rest}"
    if was:
        said = "; ".join(f"{name} {s.words}" for name, s in was.items())
        return "unknown", "Recovered", f"{said}. {rest}"
    return "good", f"All {len(stories)} designs hold", rest


def _s(names: dict[str, Story]) -> str:
    return "s" if len(names) == 1 else ""


def active(state: RunState) -> str:
    """The faults in force, in words."""
    return ", ".join(dict.fromkeys(f.record.text for f in state.faults.values() if f.active))


def _cause(state: RunState, first: str, stories: dict[str, Story]) -> str:
    """Because of what, and who holds: `⚡ because of latency 300 ms on app -> db, since T+8 s`."""
    since_s = stories[first].since_s or 0.0
    before = [f for f in faults_in(state, first) if (f.injected_s or 0.0) <= since_s + 1]
    if before:
        cause = max(before, key=lambda record: record.injected_s or 0.0)
        gone = "" if cause.healed_s is None else f" (healed {moment(cause.healed_s)})"
        said = f"⚡ because of {cause.text}, since {moment(cause.injected_s or 0.0)}{gone}."
    else:
        said = "under the load alone: nothing is broken."
    well = [name for name, s in stories.items() if s.state in ("holding", "healthy")]
    return f"{said} {_names(well)} {'holds' if len(well) == 1 else 'hold'}." if well else said


def _countdown(state: RunState) -> str:
    """What is going to be broken, and in how many seconds."""
    assert state.hello is not None  # noqa: S101 - headline() asks only then
    coming = [f for f in state.hello.experiment.faults if f.at_s >= state.clock_s]
    if not coming:
        return "Nothing will be broken: the load alone is the test."
    first = min(coming, key=lambda scheduled: scheduled.at_s)
    if first.when is not None:
        return f"⚡ {first.fault.describe()} as soon as {first.when}."
    left_s = first.at_s - state.clock_s
    return f"⚡ {first.fault.describe()} in {left_s:.0f} s."


def _names(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def claim_words(claim: ClaimState) -> tuple[Tone, str]:
    """Where a claim stands, in words with a glyph; `HOLDING` is provisional, `BROKEN` is final."""
    match claim.status:
        case "later":
            return "unknown", "· judged at the end"
        case "waiting":
            return "unknown", "· waiting"
        case "broken":
            return "bad", f"✗ broken {moment(claim.since_s or 0.0)}"
    if claim.failing:
        return "bad", f"✗ over its bound since {moment(claim.since_s or 0.0)}"
    return "good", "✓ holding"


def answer(state: RunState, name: str) -> tuple[Tone, str]:
    """What a guess was worth, once the run is over; words for it before."""
    guess = state.designs[name].guess
    if guess is None:
        return "unknown", "no guess"
    if state.record is None:
        return "unknown", f"your guess: it {guess}"
    from lab.words import design_state

    came = design_state(state.record, name)
    if came.tone == "unknown":
        return "unknown", f"you said it {guess}; the run could not tell"
    broke = came.tone == "bad"
    right = broke == (guess == "breaks")
    said = "it broke" if broke else "it held"
    return ("good" if right else "bad"), f"you said it {guess}: {said} {'✓' if right else '✗'}"
