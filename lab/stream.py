"""A run's messages as JSON lines, and back: what `messages.jsonl` holds.

Each line is `{"is": "Second", ...}` with the fields of that message; docs/results.md lists them.
The experiment is written once, in `Hello`; `Finished` has no fields of its own, because the
record of a run is in the other files of its folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from lab.experiment import Experiment
from lab.faults import KINDS
from lab.history import Op
from lab.messages import (
    Carried,
    Explained,
    FaultChanged,
    Finished,
    Guessed,
    Hello,
    Message,
    Noted,
    Observed,
    PhaseStarted,
    Progress,
    Sampled,
    Second,
)
from lab.plan import deploy
from lab.record import FaultRecord, Record

_PLAIN = {
    kind.__name__: kind
    for kind in (Carried, Explained, Guessed, Noted, Observed, PhaseStarted, Progress)
}
"""Messages whose fields are JSON as they are."""


def plan_body(experiment: Experiment) -> dict[str, Any]:
    """An experiment as JSON values: what `plan.json` holds."""
    body: dict[str, Any] = experiment.model_dump(mode="json", by_alias=True)
    for written, scheduled in zip(body["faults"], experiment.faults, strict=True):
        written["fault"] = {"kind": scheduled.fault.kind, **written["fault"]}
    return body


def experiment_of(body: dict[str, Any]) -> Experiment:
    """The experiment that `plan_body` wrote."""
    for scheduled in body["faults"]:
        fault = scheduled["fault"]
        scheduled["fault"] = KINDS[fault.pop("kind")].model_validate(fault)
    return Experiment.model_validate(body)


def dump(message: Message) -> str:
    """One message as one line, without its end."""
    body = {"is": type(message).__name__, **_fields(message)}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _fields(message: Message) -> dict[str, Any]:
    match message:
        case Hello():
            return {
                "experiment": plan_body(message.experiment),
                "engine": message.engine,
                "engine_reason": message.engine_reason,
                "run_id": message.run_id,
                "seed": message.seed,
            }
        case Second(design, window, errors, failed):
            body: dict[str, Any] = {"design": design, "window": dict(window)}
            if errors:
                body |= {"errors": dict(errors), "failed": [list(op) for op in failed]}
            return body
        case Finished():
            return {}
        case _:
            return asdict(message)


def parse(line: str, record: Callable[[], Record]) -> Message:
    """The message of one line.

    Args:
        line: what `dump` wrote.
        record: gives the record of the run, for its `Finished`.

    Raises:
        ValueError: it is no message of this version of the lab.
    """
    body = json.loads(line)
    kind = body.pop("is", None)
    if kind in _PLAIN:
        message: Message = _PLAIN[kind](**body)
        return message
    match kind:
        case "Hello":
            experiment = experiment_of(body.pop("experiment"))
            return Hello(experiment, deploy(experiment), **body)
        case "Second":
            failed = tuple(Op(*op) for op in body.get("failed", ()))
            return Second(body["design"], body["window"], body.get("errors", {}), failed)
        case "Sampled":
            values = {name: tuple(row) for name, row in body["values"].items()}
            return Sampled(body["at_s"], values)
        case "FaultChanged":
            fault = {**body["record"], "targets": tuple(body["record"]["targets"])}
            return FaultChanged(FaultRecord(**fault), body["stage"])
        case "Finished":
            return Finished(record())
    raise ValueError(f"no message of this version of the lab: {kind!r}")
