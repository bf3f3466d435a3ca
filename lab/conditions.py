"""Conditions: what a fault may wait for instead of a moment of the timeline.

    condition := subject "." word                  worker.in_critical_section · cut.bit
               | metric OP number                  redis.connected_slaves == 1 · app_pool_wait > 3
    metric    := total | ("sum" | "max" | "min") "(" total ")"
    total     := [service "."] NAME ["{" labels "}"]
    OP        := < <= > >= ==

`subject.word` is an event of the run: a service or replica reports it (`worker.in_critical_section`
for any replica, `worker-1.…` for that one), another fault reaches a stage (`cut.injected`, `.bit`,
`.healed`, `.gone`), or a phase begins (`recovery.begins`). A metric is taken over the instances of
a design that have it: their sum unless it says otherwise, as claims do. Parsing only.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from lab.claims import Operator, parse_metric

STAGES = ("injected", "bit", "healed", "gone")
"""What happens to a fault, in order."""

BEGINS = "begins"
"""What happens to a phase."""

REDUCTIONS = ("sum", "max", "min")

Sort = Literal["event", "stage", "phase", "metric"]

_EVENT = re.compile(r"(?P<subject>[A-Za-z][\w-]*)\s*\.\s*(?P<word>[A-Za-z]\w*)")
_COMPARED = re.compile(
    r"(?:(?P<reduce>\w+)\s*(?P<open>\())?\s*(?:(?P<subject>[A-Za-z][\w-]*)\.)?"
    r"(?P<metric>[^\s{}()<>=.]+\s*(?:\{[^{}]*\})?)\s*(?P<close>\))?\s*"
    r"(?P<operator><=|>=|==|<|>)\s*(?P<number>.+)"
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, parsed; `text` is as written.

    An event has a `subject` and a `word`. A metric has its name, `selector`, `reduce`, `operator`
    and `value`; its `subject` is the service that it is read from, "" for all of a design.
    """

    text: str
    subject: str = ""
    word: str = ""
    metric: str = ""
    selector: tuple[tuple[str, str], ...] = ()
    reduce: str = "sum"
    operator: Operator = "=="
    value: float = 0.0

    def __str__(self) -> str:
        return self.text

    def sort(self, faults: Collection[str], phases: Collection[str]) -> Sort:
        """What it waits for, in an experiment with faults and phases of these names."""
        if self.metric:
            return "metric"
        if self.subject in faults and self.word in STAGES:
            return "stage"
        return "phase" if self.subject in phases and self.word == BEGINS else "event"


def parse_condition(text: str) -> Condition:
    """Read one condition.

    Raises:
        ValueError: it is not of the language; the message says what is wrong and shows a right one.
    """
    text = " ".join(text.split())
    if match := _EVENT.fullmatch(text):
        return Condition(text, match["subject"], match["word"])
    match = _COMPARED.fullmatch(text)
    if not match or bool(match["open"]) != bool(match["close"]):
        raise ValueError(
            f"`{text}` is not a condition: write `service.event`, `fault.bit`, `phase.begins` "
            "or `metric > 3`"
        )
    reduce = match["reduce"] or "sum"
    if reduce not in REDUCTIONS:
        raise ValueError(f"`{reduce}` is not known here: write {', '.join(REDUCTIONS)}")
    if not _NUMBER.fullmatch(match["number"]):
        raise ValueError(f"`{match['number']}` is not a number: write one without a unit, like 3")
    metric, selector = parse_metric(match["metric"])
    operator: Operator = match["operator"]  # type: ignore[assignment]
    return Condition(
        text,
        subject=match["subject"] or "",
        metric=metric,
        selector=selector,
        reduce=reduce,
        operator=operator,
        value=float(match["number"]),
    )
