"""Verdicts: what a claim measured, whether the run earned a verdict, and what it is.

Three words, never two: *as predicted*, *not as predicted*, *unknown*. A run that was not healthy
to begin with, whose driver could not keep its schedule, or whose fault did not bite has proved
nothing; it is unknown, whatever its claims say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lab.errors import ExitCode


class Status(StrEnum):
    """The three verdicts."""

    AS_PREDICTED = "as predicted"
    NOT_AS_PREDICTED = "not as predicted"
    UNKNOWN = "unknown"


Side = Literal["holds", "breaks", "pays", "requires"]


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """One claim of one design, measured.

    `true` is whether the claim itself is true of the run, None when it could not be measured.
    `measured` and `bound` are written with units; `value` and `limit` are the bare numbers in the
    measure's unit. `first_broken_s` is the run time of the first second that broke it, if any.
    """

    design: str
    side: Side
    claim: str
    true: bool | None
    measured: str
    bound: str
    value: float | None = None
    limit: float | None = None
    samples: int = 0
    reason: str = ""
    first_broken_s: float | None = None

    @property
    def status(self) -> Status:
        """`breaks` predicts that the claim is false; every other side that it is true."""
        if self.true is None:
            return Status.UNKNOWN
        return (
            Status.AS_PREDICTED if self.true != (self.side == "breaks") else Status.NOT_AS_PREDICTED
        )


@dataclass(frozen=True, slots=True)
class Guard:
    """One condition that a run must meet to earn a verdict."""

    name: str
    met: bool
    detail: str
    design: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole judgement of a run."""

    status: Status
    claims: tuple[ClaimResult, ...]
    guards: tuple[Guard, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not as predicted, or unknown; empty when as predicted."""
        unmet = [
            f"{g.design + ': ' if g.design else ''}{g.name}: {g.detail}"
            for g in self.guards
            if not g.met
        ]
        if self.status is Status.UNKNOWN:
            return (
                *unmet,
                *(f"{c.design}: {c.claim}: {c.reason}" for c in self.claims if c.true is None),
            )
        return tuple(
            f"{c.design}: predicted that it {c.side} `{c.claim}`, measured {c.measured}"
            for c in self.claims
            if c.status is Status.NOT_AS_PREDICTED
        )

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a run that went through; faults that did not heal outrank it."""
        return {
            Status.AS_PREDICTED: ExitCode.AS_PREDICTED,
            Status.NOT_AS_PREDICTED: ExitCode.NOT_AS_PREDICTED,
            Status.UNKNOWN: ExitCode.UNKNOWN,
        }[self.status]


def judge(claims: Sequence[ClaimResult], guards: Sequence[Guard]) -> Verdict:
    """Combine: an unmet guard or an unmeasured claim makes it unknown, then any miss decides."""
    if not all(guard.met for guard in guards) or any(c.status is Status.UNKNOWN for c in claims):
        status = Status.UNKNOWN
    elif any(c.status is Status.NOT_AS_PREDICTED for c in claims):
        status = Status.NOT_AS_PREDICTED
    else:
        status = Status.AS_PREDICTED
    return Verdict(status, tuple(claims), tuple(guards))
