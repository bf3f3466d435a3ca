"""From the words of a claim to seconds of the run: where it looks.

A fault that starts or ends by a condition has no planned place: `as_it_went` gives it the measured
one, in each design its own.

Phases are trimmed at both edges, because a request that is under way at an edge belongs to neither
side; moments that an author wrote out are taken as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lab.claims import Moment, Window
from lab.experiment import Experiment, ScheduledFault
from lab.record import FaultRecord

SLOT_S = 1.0
"""Width of the slots that per-second findings are made of."""

_TOLERANCE_S = 1e-6


class Span(NamedTuple):
    """A stretch of the run, `start_s` included and `end_s` not."""

    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.start_s

    def slots(self) -> Iterator[Span]:
        """Its whole one-second slots, counted from its start; a shorter rest is left out."""
        for number in range(int((self.seconds + _TOLERANCE_S) / SLOT_S)):
            start_s = self.start_s + number * SLOT_S
            yield Span(start_s, start_s + SLOT_S)


class WindowError(ValueError):
    """The window does not exist in this run; the message says why, for an unmeasured claim."""


def span_of(window: Window, experiment: Experiment) -> Span:
    """Start and end of a claim's window.

    A window past the end of the load is refused: nothing was asked of the system there, and a rate
    over it would come out too low.

    Raises:
        WindowError: it names no phase or fault, is empty, or leaves the load.
    """
    if window.start and window.end:
        span = Span(_moment(window.start, experiment), _moment(window.end, experiment))
    else:
        start_s, end_s = _edges(window.phase, experiment)
        span = Span(start_s + experiment.trim_s, end_s - experiment.trim_s)
    if span.seconds <= 0:
        raise WindowError(
            f"the window from {span.start_s:g} s to {span.end_s:g} s is empty"
            + ("" if window.start else f" once {experiment.trim_s:g} s are trimmed at both edges")
        )
    load_s = experiment.duration_s
    if span.start_s < -_TOLERANCE_S or span.end_s > load_s + _TOLERANCE_S:
        raise WindowError(
            f"the window from {span.start_s:g} s to {span.end_s:g} s "
            f"leaves the load of {load_s:g} s"
        )
    return span


def before_trim_s(window: Window, span: Span, experiment: Experiment) -> float:
    """Where a window begins before its edges are trimmed, given its span."""
    return span.start_s if window.start and window.end else span.start_s - experiment.trim_s


def end_of(name: str, experiment: Experiment) -> float:
    """When the phase or fault of that name ends, as planned.

    Raises:
        WindowError: there is none.
    """
    return _edges(name, experiment)[1]


def is_phase(name: str, experiment: Experiment) -> bool:
    """Whether a claim's word names a phase or a fault, and not a design."""
    phases, faults = experiment.phases, experiment.faults
    return name in {*(phase.name for phase in phases), *(fault.name for fault in faults)}


def baseline_span(experiment: Experiment) -> Span:
    """The first phase, trimmed, and never reaching into the first fault.

    Raises:
        WindowError: nothing is left of it.
    """
    span = span_of(Window(experiment.phases[0].name), experiment)
    end_s = min(span.end_s, first_fault_s(experiment) - experiment.trim_s)
    if end_s <= span.start_s:
        raise WindowError("the first fault starts before there is any baseline")
    return Span(span.start_s, end_s)


def first_fault_s(experiment: Experiment) -> float:
    """When the first fault starts; without faults, when the first phase ends."""
    starts_s = (fault.at_s for fault in experiment.faults if not fault.triggered)
    return min(starts_s, default=experiment.phases[0].end_s)


def as_it_went(experiment: Experiment, records: Iterable[FaultRecord], design: str) -> Experiment:
    """The experiment as it went in one design: faults with conditions at their measured times.

    Those that started are there as if it had been planned so, from when they were in force until
    healing was ordered; those that never did keep their conditions.
    """
    went = {r.name: r for r in records if r.design in ("", design) and r.injected_s is not None}
    faults = tuple(
        _placed(fault, went[fault.name], experiment.duration_s)
        if fault.triggered and fault.name in went
        else fault
        for fault in experiment.faults
    )
    return experiment.model_copy(update={"faults": faults})


def _placed(fault: ScheduledFault, record: FaultRecord, load_s: float) -> ScheduledFault:
    at_s = record.injected_s if record.confirmed_s is None else record.confirmed_s
    assert at_s is not None  # noqa: S101 - only those that were injected
    end_s = load_s if record.healed_s is None else min(load_s, record.healed_s)
    return ScheduledFault(fault=fault.fault, at_s=at_s, for_s=end_s - at_s, name=fault.name)


def _edges(name: str | None, experiment: Experiment) -> tuple[float, float]:
    """Planned start and end of a phase, of a fault, or of the whole run for None."""
    if name is None:
        return experiment.phases[0].start_s, experiment.phases[-1].end_s
    for phase in experiment.phases:
        if phase.name == name:
            return phase.start_s, phase.end_s
    for fault in experiment.faults:
        if fault.name == name:
            if fault.triggered:
                raise WindowError(f"`{name}` never started here")
            return fault.at_s, fault.until_s
    raise WindowError(f"the run has no phase or fault `{name}`")


def _moment(moment: Moment, experiment: Experiment) -> float:
    if moment.phase is None:
        return moment.offset_s
    start_s, end_s = _edges(moment.phase, experiment)
    return (end_s if moment.edge == "end" else start_s) + moment.offset_s
