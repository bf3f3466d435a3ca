"""The history of a run: operations, events and samples on one clock.

Every time is in seconds since the run's zero (the planned start of the load). An operation's
latency runs from the moment it was *due* (open loop), not from when it was sent, so a stalled
system cannot hide its queue (coordinated omission; Gil Tene, "How NOT to Measure Latency").

On disk a history is one JSON object a line, `{"type": "op", ...}`; the other types are `client-op`,
`event` and `sample`. docs/results.md lists every field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

Outcome = Literal["ok", "fail", "info"]
"""`ok`: done. `fail`: certainly did not succeed. `info`: unknown, it may still take effect."""


class Op(NamedTuple):
    """One operation of a client.

    Fields:
        design: the design it was sent to.
        request: name of the request in the mix.
        key: the drawn key, or "".
        due_s: when the pacer wanted it sent; latency counts from here.
        sent_s: when its first byte was sent.
        done_s: when its outcome was known.
        outcome: ok / fail / info.
        status: HTTP status of the last attempt, 0 without an answer.
        attempts: how often it was tried; 0 when it never was, because too many were in flight.
        error: short reason when not ok ("timeout", "refused", "reset", "closed", "http 500" ...).
    """

    design: str
    request: str
    key: str
    due_s: float
    sent_s: float
    done_s: float
    outcome: Outcome
    status: int
    attempts: int
    error: str

    @property
    def latency_s(self) -> float:
        """Seconds from due to done."""
        return self.done_s - self.due_s


class ClientOp(NamedTuple):
    """One operation on data, as the client that made it saw it: what truth is checked on.

    `Op` is a request that was due, with all its retries, and says how long it took. A `ClientOp` is
    one attempt (a retried write may take effect twice), or a final read after the load; it says
    what was asked and what was answered.

    Fields:
        design: the design it was sent to.
        process: the logical client. It does one operation at a time, and retires after an `info`.
        function: what was asked: `read`, `write`, `cas`, `add`, `enqueue`, `transfer`, `txn` ...
        key: the object it is about, or "" where there is one only.
        argument: what was asked for; docs/reference/checkers.md lists it by function.
        result: what was answered, None without an answer.
        invoked_s: when it was sent.
        returned_s: when the answer was there, or the client gave up.
        outcome: `ok`: answered. `fail`: certainly did not take effect. `info`: it may take effect
            at any time after `invoked_s`, or never.
        error: short reason when not ok.

    Arguments and results are values of JSON, with tuples for arrays.
    """

    design: str
    process: int
    function: str
    key: str
    argument: Any
    result: Any
    invoked_s: float
    returned_s: float
    outcome: Outcome
    error: str = ""

    @property
    def end_s(self) -> float:
        """The latest moment at which it can have taken effect; infinite for `info`."""
        return math.inf if self.outcome == "info" else self.returned_s


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the run: a phase, a fault, a container, a note.

    Kinds: `phase`, `inject`, `heal`, `service`, `driver`, `reading`, `note`, `problem`, `end`.
    `data` holds JSON values; which keys each kind has is listed in docs/results.md.
    """

    at_s: float
    kind: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


class Sample(NamedTuple):
    """One scraped value. `design` is "" for a service that all designs share."""

    at_s: float
    design: str
    instance: str
    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


@dataclass(slots=True)
class History:
    """Everything a run recorded; checkers read it, nobody changes it afterwards."""

    ops: list[Op] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    client_ops: list[ClientOp] = field(default_factory=list)

    def of(self, design: str) -> list[Op]:
        """The operations of one design, in the order they were due."""
        return sorted((op for op in self.ops if op.design == design), key=lambda op: op.due_s)

    def kind(self, kind: str) -> list[Event]:
        """The events of one kind, in order of time."""
        return sorted((e for e in self.events if e.kind == kind), key=lambda e: e.at_s)


def dump_lines(records: Iterable[Op | ClientOp | Event | Sample]) -> Iterator[str]:
    """One JSON line per record, ready to be written."""
    for record in records:
        match record:
            case Op():
                body: dict[str, Any] = {"type": "op", **record._asdict()}
            case ClientOp():
                body = {"type": "client-op", **record._asdict()}
            case Sample():
                body = {"type": "sample", **record._asdict(), "labels": dict(record.labels)}
            case Event():
                body = {"type": "event", **asdict(record)}
        yield json.dumps(_rounded(body), separators=(",", ":"), ensure_ascii=False) + "\n"


def load_lines(lines: Iterable[str]) -> History:
    """The history that `dump_lines` wrote."""
    history = History()
    for line in lines:
        body = json.loads(line)
        match body.pop("type"):
            case "op":
                history.ops.append(Op(**body))
            case "client-op":
                body["argument"], body["result"] = (
                    _frozen(body["argument"]),
                    _frozen(body["result"]),
                )
                history.client_ops.append(ClientOp(**body))
            case "sample":
                body["labels"] = tuple(sorted(body["labels"].items()))
                history.samples.append(Sample(**body))
            case "event":
                history.events.append(Event(**body))
            case other:
                raise ValueError(f"unknown record type {other!r}")
    return history


def _frozen(value: Any) -> Any:
    """A JSON value with tuples for arrays, so that it can be compared and hashed."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _rounded(body: dict[str, Any]) -> dict[str, Any]:
    """Times to the microsecond: what the clock can honestly tell, and half the file size."""
    return {
        k: round(v, 6) if k.endswith("_s") and isinstance(v, float) else v for k, v in body.items()
    }
