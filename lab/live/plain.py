"""The run as plain lines: one per event, one per design every five seconds.

For logs and CI: no cursor codes, `key=value` where a program might read along, one fact a line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lab.live.reducer import Line, RunState
from lab.messages import FaultChanged, Finished, Hello, Message, Second
from lab.words import STATUS_WORDS

EVERY_S = 5
"""Seconds that one line of a design sums up."""


def lines(before: RunState, after: RunState, message: Message) -> list[str]:
    """What to print after one message, given the state before and after it."""
    said = [_logged(line) for line in after.log[len(before.log) :]]
    match message:
        case Hello():
            return [*_hello(message), *said]
        case Second(design, window) if (window["t"] + 1) % EVERY_S == 0:
            return [_seconds(after, design), *said]
        case Finished(record):
            return [*said, f"verdict={STATUS_WORDS[record.verdict.status].lower()}"]
    return said


def _hello(hello: Hello) -> list[str]:
    what = hello.experiment
    facts = (
        f"designs={','.join(what.designs)} engine={hello.engine} ({hello.engine_reason}) "
        f"run={hello.run_id} seed={hello.seed} load={what.duration_s:g}s"
    )
    return [f"{what.name}: {what.question}", facts]


def _logged(line: Line) -> str:
    head = "--" if line.at_s is None else f"t={line.at_s:.1f}"
    level = "" if line.level in ("info", "fault", "claim") else f"{line.level}: "
    return f"{head} {level}{line.text}"


def _seconds(state: RunState, design: str) -> str:
    """The last five seconds: mean rate, worst p99, all failures, operations open now."""
    windows = state.designs[design].seconds[-EVERY_S:]
    rate = sum(window["due"] for window in windows) / len(windows)
    errors = sum(window["fail"] + window["info"] for window in windows)
    at_s = windows[-1]["t"] + 1
    return (
        f"t={at_s} phase={state.phase} design={design} rps={rate:.0f} "
        f"p50_ms={_ms(windows, 'p50')} p99_ms={_ms(windows, 'p99')} "
        f"err={errors} inflight={windows[-1]['in_flight']}"
    )


def _ms(windows: Sequence[Mapping[str, Any]], key: str) -> str:
    known = [window[key] for window in windows if window[key] is not None]
    return f"{max(known) * 1000:.0f}" if known else "-"


def as_json(message: Message) -> str:
    """One message as one JSON line, for programs that watch a run."""
    match message:
        case Hello():
            body: dict[str, Any] = {
                "experiment": message.experiment.name,
                "designs": list(message.experiment.designs),
                "engine": message.engine,
                "engine_reason": message.engine_reason,
                "run_id": message.run_id,
                "seed": message.seed,
            }
        case Second(design, window):
            body = {"design": design, **window}
        case FaultChanged(record, stage):
            body = {"name": record.name, "design": record.design, "key": record.key}
            body |= {"text": record.text, "stage": stage}
        case Finished(record):
            body = {"verdict": record.verdict.status.value, "exit_code": int(record.exit_code)}
        case _:
            body = asdict(message)
    return json.dumps({"is": type(message).__name__, **body}, ensure_ascii=False)
