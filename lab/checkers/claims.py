"""Claims against facts: what was measured, what it was compared with, and whether it is true.

Three answers: a claim whose left or right side could not be measured is neither true nor false.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, takewhile

from lab.checkers.facts import Facts
from lab.checkers.measures import Measured, latency, measure, share, written
from lab.checkers.windows import SLOT_S, Span, WindowError, before_trim_s, is_phase, span_of
from lab.claims import LATENCY, SHARES, Claim, Window, compare
from lab.units import format_count
from lab.verdict import ClaimResult, Guard, Side

REQUIRES = "requires"


def check_claims(facts: Facts) -> list[ClaimResult]:
    """Every `holds`, `breaks` and `pays` claim of every design, in the order of the file."""
    found = []
    for name, design in facts.experiment.designs.items():
        sides: tuple[tuple[Side, tuple[Claim, ...]], ...] = (
            ("holds", design.holds),
            ("breaks", design.breaks),
            ("pays", design.pays),
        )
        for side, claims in sides:
            found += [check_claim(claim, name, side, facts) for claim in claims]
    return found


def check_requires(facts: Facts) -> list[Guard]:
    """What the run must show to count at all; each is a guard, met only when measured and true."""
    required = facts.experiment.requires
    pairs = chain.from_iterable(((name, claim) for claim in required[name]) for name in required)
    guards = []
    for name, claim in pairs:
        result = check_claim(claim, name, "requires", facts)
        detail = f"`{claim}`: measured {result.measured}"
        if claim.bound.reference:
            detail += f", compared with {result.bound}"
        if result.reason:
            detail += f" ({result.reason})"
        guards.append(Guard(REQUIRES, result.true is True, detail, name))
    return guards


def check_claim(claim: Claim, design: str, side: Side, facts: Facts) -> ClaimResult:
    """One claim about one design."""
    left = measure(claim.measure, claim.window, design, facts)
    limit, reference = _limit(claim, design, facts)
    reasons = [left.reason]
    if limit.reason and limit.reason != left.reason:
        reasons.append(f"{claim.bound.reference}: {limit.reason}")
    result = ClaimResult(
        design=design,
        side=side,
        claim=claim.text,
        true=None,
        measured=written(left.value, claim.measure),
        bound=_bound_text(claim, limit, reference),
        value=left.value,
        limit=limit.value,
        samples=left.samples,
        reason="; ".join(reason for reason in reasons if reason),
    )
    if left.value is None or limit.value is None:
        return result
    true = compare(left.value, claim.operator, limit.value)
    if not true:
        result = _distinct(result, claim)
    since_s = None if true else _first_broken_s(claim, design, limit.value, facts)
    return replace(result, true=true, first_broken_s=since_s)


def _limit(claim: Claim, design: str, facts: Facts) -> tuple[Measured, Measured | None]:
    """The value to compare with, and what was measured of the phase or design it comes from."""
    bound = claim.bound
    if bound.reference is None:
        return Measured(bound.value), None
    if is_phase(bound.reference, facts.experiment):
        other = measure(claim.measure, Window(bound.reference), design, facts)
    elif bound.reference in facts.experiment.designs:
        other = measure(claim.measure, claim.window, bound.reference, facts)
    else:
        other = Measured(None, 0, "the run has no such phase, fault or design")
    if other.value is None:
        return other, other
    if bound.factor is not None:
        return Measured(bound.factor * other.value, other.samples), other
    return Measured(other.value + (bound.points or 0.0), other.samples), other


def _bound_text(claim: Claim, limit: Measured, reference: Measured | None) -> str:
    """`300 ms`; of a comparison `36 ms (3x baseline, 12 ms)`."""
    text = written(limit.value, claim.measure)
    if reference is None:
        return text
    bound, value = claim.bound, written(reference.value, claim.measure)
    if bound.factor is not None:
        return f"{text} ({format_count(bound.factor)}x {bound.reference}, {value})"
    points = format_count(100 * (bound.points or 0.0))
    return f"{text} ({points} points over {bound.reference}, {value})"


def _distinct(result: ClaimResult, claim: Claim) -> ClaimResult:
    """Six digits where three would print a false `measured 99 %, bound 99 %`."""
    value, limit = result.value, result.limit
    if result.measured != result.bound or value is None or limit is None or value == limit:
        return result
    scale, unit = {"share": (100, " %"), "s": (1, " s"), "/s": (1, "/s"), "B": (1, " B")}.get(
        claim.measure.unit, (1, "")
    )
    texts = (f"{number * scale:.6g}{unit}" for number in (value, limit))
    return replace(result, measured=next(texts), bound=next(texts))


def _first_broken_s(claim: Claim, design: str, limit: float, facts: Facts) -> float | None:
    """Start of the first second of the window of which the claim is false.

    Where that is the first one, bad seconds right before it count as well, back to where the window
    began before its edge was trimmed: a reader asks since when, not what was judged. Only for
    latencies and shares, which a single second has too. However few operations it has, they are
    taken: this marks a chart, it decides nothing.
    """
    what = claim.measure
    if what.name not in (*LATENCY, *SHARES):
        return None
    went = facts.went(design)
    try:
        span = span_of(claim.window, went)
    except WindowError:
        return None

    def is_bad(slot: Span) -> bool:
        return _is_false_in(slot, claim, design, limit, facts)

    first = next(filter(is_bad, span.slots()), None)
    if first is None or first.start_s > span.start_s:
        return first.start_s if first else None
    edge_s = span.start_s - before_trim_s(claim.window, span, went)
    earlier = (
        Span(span.start_s - number * SLOT_S, span.start_s - (number - 1) * SLOT_S)
        for number in range(1, int(edge_s / SLOT_S) + 1)
    )
    return [span, *takewhile(is_bad, earlier)][-1].start_s


def _is_false_in(slot: Span, claim: Claim, design: str, limit: float, facts: Facts) -> bool:
    """Whether a claim about a latency or share is false of the operations due in one second."""
    what = claim.measure
    ops = facts.operations(design, what.request).due_in(slot)
    if not ops:
        return False
    if what.name in LATENCY:
        value = latency(what.name, sorted(op.done_s - op.due_s for op in ops))
    else:
        value = share(what, ops)
    return not compare(value, claim.operator, limit)
