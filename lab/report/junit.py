"""JUnit XML of a run: the experiment is a test suite, each claim of a design a test case.

A claim that came out otherwise than predicted is a failure. In a run that earned no verdict every
claim is skipped and each unmet guard an error, so that CI is red and says why.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lab.errors import ExitCode
from lab.record import Record
from lab.verdict import ClaimResult, Guard, Status
from lab.words import iso_time, moment, remedy, verdict_line

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def junit(record: Record) -> str:
    """The XML document."""
    suite = Element("testsuite", name=_text(record.experiment.name))
    suite.set("timestamp", iso_time(record.started_unix_s))
    suite.set("time", f"{record.experiment.duration_s:.3f}")
    _properties(suite, record)
    for claim in record.verdict.claims:
        _claim(suite, record, claim)
    for guard in record.verdict.guards:
        _guard(suite, record, guard)
    if record.exit_code is ExitCode.HEALING_INCOMPLETE:
        _error(suite, record, "healing", "healing is incomplete", [*record.residue, remedy(record)])
    if record.interrupted:
        _error(suite, record, "interrupted", record.interrupted, [])
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind in ("failure", "error", "skipped"):
        plural = kind if kind == "skipped" else f"{kind}s"
        suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _properties(suite: Element, record: Record) -> None:
    values = {
        "run": record.run_id,
        "engine": record.engine,
        "seed": str(record.seed),
        "verdict": record.verdict.status.value,
        "exit_code": str(int(record.exit_code)),
        **{f"version.{name}": version for name, version in record.versions.items()},
        **{f"host.{name}": value for name, value in record.host.items()},
    }
    properties = SubElement(suite, "properties")
    for name, value in values.items():
        SubElement(properties, "property", name=_text(name), value=_text(value))


def _case(suite: Element, record: Record, name: str) -> Element:
    return SubElement(suite, "testcase", classname=_text(record.experiment.name), name=_text(name))


def _claim(suite: Element, record: Record, claim: ClaimResult) -> None:
    case = _case(suite, record, f"{claim.design}::{claim.claim}")
    if record.verdict.status is Status.UNKNOWN:
        reason = claim.reason or verdict_line(record)
        SubElement(case, "skipped", message=_text(reason))
    elif claim.status is Status.NOT_AS_PREDICTED:
        SubElement(case, "failure", message=_text(_failure(claim)), type=claim.side)


def _failure(claim: ClaimResult) -> str:
    predicted = {"breaks": "to break", "holds": "to hold"}.get(claim.side, "to be true")
    since = claim.first_broken_s
    when = f", first broken {moment(since)}" if since is not None and claim.side == "holds" else ""
    return f"predicted {predicted}, measured {claim.measured} (bound {claim.bound}){when}"


def _guard(suite: Element, record: Record, guard: Guard) -> None:
    of = f"{guard.design}::" if guard.design else ""
    case = _case(suite, record, f"guard::{of}{guard.name}")
    if not guard.met:
        SubElement(case, "error", message=_text(guard.detail), type="guard")


def _error(suite: Element, record: Record, name: str, message: str, details: list[str]) -> None:
    error = SubElement(_case(suite, record, name), "error", message=_text(message), type=name)
    error.text = _text("\n".join(details))


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
