"""Checkers: pure functions from a history to findings. `check` judges a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.checkers.claims import check_claim, check_claims, check_requires
from lab.checkers.facts import Facts
from lab.checkers.guards import guards
from lab.checkers.measures import Measured, measure, written
from lab.checkers.seconds import latency_bounds, live_window, metric_per_second, per_second
from lab.checkers.sentences import explain, say
from lab.checkers.windows import Span, WindowError, baseline_span, span_of
from lab.errors import ExitCode
from lab.record import Record
from lab.verdict import Guard, judge

__all__ = [
    "Facts",
    "Measured",
    "Span",
    "WindowError",
    "baseline_span",
    "check",
    "check_claim",
    "check_claims",
    "check_requires",
    "explain",
    "guards",
    "latency_bounds",
    "live_window",
    "measure",
    "metric_per_second",
    "per_second",
    "say",
    "span_of",
    "written",
]

_OF_VERDICTS = (ExitCode.AS_PREDICTED, ExitCode.NOT_AS_PREDICTED, ExitCode.UNKNOWN)


def check(record: Record, more: Sequence[Guard] = (), exit_code: ExitCode | None = None) -> Record:
    """The record with its verdict, exit code and `why` sentences, all computed anew.

    Nothing but the record is read, so a run can be judged again from disk.

    Args:
        record: a finished run, judged or not.
        more: guards that only the one who ran it knows.
        exit_code: what outranks the verdict; None keeps such a code of a record that has one.
    """
    facts = Facts(record.experiment, record.history, record.costs, record.faults)
    conditions = dict.fromkeys([*guards(facts, record), *check_requires(facts), *more])
    verdict = judge(check_claims(facts), list(conditions))
    if exit_code is None:
        exit_code = verdict.exit_code if record.exit_code in _OF_VERDICTS else record.exit_code
    return replace(record, verdict=verdict, exit_code=exit_code, whys=explain(facts))
