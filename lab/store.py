"""Runs on disk: `runs/<experiment>/<time>-<id>/`, one folder for everything a run left.

    plan.json      the experiment as it ran, with its topologies
    history.jsonl  operations and events, one JSON object a line
    metrics.jsonl  scraped samples, one JSON object a line
    windows.jsonl  one-second windows per design
    result.json    verdict, claims, guards, faults, costs: everything small
    messages.jsonl what the run said while it went, one message a line: the replay is made of it
    logs/          the log of every instance and of the lab's own parts

`docs/results.md` explains every file and field. `latest` beside the folders points to the newest.
"""

from __future__ import annotations

import errno
import json
import math
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from lab.checkers import per_second
from lab.errors import EngineError, ExitCode, UsageError
from lab.experiment import Experiment
from lab.history import History, dump_lines, load_lines
from lab.messages import Message, PhaseStarted
from lab.record import Cost, FaultRecord, Lag, Record
from lab.stream import dump, experiment_of, parse, plan_body
from lab.verdict import ClaimResult, Guard, Status, Verdict

SCHEMA_VERSION = 1
_LISTED = 5
"""How many runs to name where the one asked for is not there."""

MESSAGES = "messages.jsonl"


def new_run(root: Path, experiment: str) -> tuple[str, Path]:
    """A fresh run id (8 hex digits) and its folder, which exists.

    Raises:
        EngineError: the folder cannot be made.
    """
    run_id = secrets.token_hex(4)
    folder = root / experiment / f"{time.strftime('%Y%m%d-%H%M%S')}-{run_id}"
    with disk_trouble(folder):
        folder.mkdir(parents=True)
    return run_id, folder


def save(record: Record, folder: Path) -> None:
    """Write the record into its folder and point `latest` at it.

    Raises:
        EngineError: the disk is full, or the folder cannot be written.
    """
    with disk_trouble(folder):
        _write_json(folder / "plan.json", plan_body(record.experiment))
        history = record.history
        lines = dump_lines([*history.events, *history.ops, *history.client_ops])
        _write_lines(folder / "history.jsonl", lines)
        _write_lines(folder / "metrics.jsonl", dump_lines(history.samples))
        windows = (
            json.dumps({"design": design, **window}) + "\n"
            for design in record.experiment.designs
            for window in per_second(record.experiment, history, design)
        )
        _write_lines(folder / "windows.jsonl", windows)
        _write_json(folder / "result.json", _result(record))
        _point_latest_at(folder)


def _point_latest_at(folder: Path) -> None:
    """In one step, so that `latest` is always there, also when two runs end at once."""
    link = folder.parent / f".latest-{secrets.token_hex(4)}"
    link.symlink_to(folder.name)
    link.replace(folder.parent / "latest")


def load(folder: Path) -> Record:
    """Read a run back.

    Raises:
        UsageError: the folder holds no run, or one of another schema version.
    """
    try:
        result = json.loads((folder / "result.json").read_text())
        plan = json.loads((folder / "plan.json").read_text())
        history = _read_history(folder)
    except FileNotFoundError as error:
        raise UsageError(f"{folder} holds no finished run: {error.filename} is missing") from None
    if result["schema_version"] != SCHEMA_VERSION:
        raise UsageError(f"{folder} was written by another version of the lab")
    return _record(result, experiment_of(plan), history)


def load_messages(folder: Path, record: Record) -> Iterator[Message]:
    """What the run said while it went; the record is that of its last message.

    Raises:
        FileNotFoundError: it was made by a version that did not keep its messages.
        ValueError: a line is none of ours.
    """
    with (folder / MESSAGES).open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):  # a run that was killed may leave a broken last line
                yield parse(line, lambda: record)


class MessageLog:
    """Writes a run's messages into its folder while it goes, from the first phase on.

    Before that there is nothing to replay, and a folder without a run is to stay empty. A full
    disk ends the writing and sets `trouble`, never the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[str] = []
        self._file: TextIO | None = None
        self.trouble = ""

    def write(self, message: Message) -> None:
        """Add one message."""
        if self.trouble:
            return
        self._waiting.append(dump(message) + "\n")
        try:
            if self._file is None and isinstance(message, PhaseStarted):
                self._file = (self._folder / MESSAGES).open("w", encoding="utf-8")
            if self._file is not None:
                self._file.writelines(self._waiting)
                self._file.flush()
                self._waiting.clear()
        except OSError as error:
            self.trouble = f"no replay of this run: {error.strerror}"
            self.close()

    def close(self) -> None:
        """Nothing more will come."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def find_run(root: Path, which: str) -> Path:
    """The folder of a run: a path, `latest`, an experiment's name (its latest), or a run id.

    Raises:
        UsageError: there is no such run.
    """
    candidates = [Path(which), root / which / "latest", *root.glob(f"*/*-{which}")]
    if which == "latest":
        candidates = sorted(root.glob("*/latest"), key=lambda path: path.stat().st_mtime)[-1:]
    for candidate in candidates:
        if (candidate / "result.json").exists():
            return candidate.resolve()
    there = _newest(root)
    remedy = f"the newest are: {', '.join(there)}" if there else "`lab run NAME` makes one"
    raise UsageError(f"there is no run `{which}` under {root}", remedy=remedy)


def _newest(root: Path) -> list[str]:
    """Ids of some finished runs and their experiments, the newest first."""
    found = [file.parent for file in root.glob("*/*/result.json") if not file.parent.is_symlink()]
    found.sort(key=lambda folder: folder.name, reverse=True)
    return [
        f"{folder.name.rpartition('-')[2]} ({folder.parent.name})" for folder in found[:_LISTED]
    ]


@contextmanager
def disk_trouble(folder: Path) -> Iterator[None]:
    """Turn what the disk says into something a person can act on."""
    try:
        yield
    except OSError as error:
        remedy = "free some space" if error.errno == errno.ENOSPC else "choose another with --runs"
        raise EngineError(
            f"cannot write the run to {folder}: {error.strerror}", remedy=remedy
        ) from error


def _write_json(path: Path, body: Any) -> None:
    text = json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w") as file:
        file.writelines(lines)


def _read_history(folder: Path) -> History:
    with (folder / "history.jsonl").open() as lines:
        history = load_lines(lines)
    with (folder / "metrics.jsonl").open() as lines:
        history.samples = load_lines(lines).samples
    return history


_SMALL = (
    "run_id",
    "engine",
    "started_unix_s",
    "seed",
    "observer_share",
    "observer_cores",
    "interrupted",
)


def _result(record: Record) -> dict[str, Any]:
    verdict = record.verdict
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": record.experiment.name,
        "question": record.experiment.question,
        "verdict": verdict.status.value,
        "exit_code": int(record.exit_code),
        "reasons": list(verdict.reasons),
        **{name: getattr(record, name) for name in _SMALL},
        "claims": [_claim(claim) for claim in verdict.claims],
        "guards": [asdict(guard) for guard in verdict.guards],
        "faults": [asdict(fault) for fault in record.faults],
        "costs": {
            d: {**asdict(c), "cpu_per_1000": c.cpu_per_1000} for d, c in record.costs.items()
        },
        "lags": {design: asdict(lag) for design, lag in record.lags.items()},
        "whys": dict(record.whys),
        "links": dict(record.links),
        "residue": list(record.residue),
        "versions": dict(record.versions),
        "host": dict(record.host),
        "timings": dict(record.timings),
    }


def _claim(claim: ClaimResult) -> dict[str, Any]:
    """A claim for JSON, which has no infinity: a recovery that never came has no value."""
    body = {**asdict(claim), "status": claim.status.value}
    return {k: None if v in (math.inf, -math.inf) else v for k, v in body.items()}


def _record(result: dict[str, Any], experiment: Experiment, history: History) -> Record:
    claims = tuple(
        ClaimResult(**{k: v for k, v in claim.items() if k != "status"})
        for claim in result["claims"]
    )
    guards = tuple(Guard(**guard) for guard in result["guards"])
    costs = {
        design: Cost(**{k: v for k, v in cost.items() if k != "cpu_per_1000"})
        for design, cost in result["costs"].items()
    }
    faults = tuple(
        FaultRecord(**{**fault, "targets": tuple(fault["targets"])}) for fault in result["faults"]
    )
    return Record(
        **{name: result[name] for name in _SMALL if name in result},
        experiment=experiment,
        history=history,
        verdict=Verdict(Status(result["verdict"]), claims, guards),
        exit_code=ExitCode(result["exit_code"]),
        faults=faults,
        costs=costs,
        lags={design: Lag(**lag) for design, lag in result["lags"].items()},
        whys=result["whys"],
        links=result["links"],
        residue=tuple(result["residue"]),
        versions=result["versions"],
        host=result["host"],
        timings=result["timings"],
    )
