"""`junit.xml`: what CI shows of a run."""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

import pytest

from lab.record import Record
from lab.report.junit import junit
from tests.unit import records


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


def _suite(record: Record) -> Element:
    suite = fromstring(junit(record)).find("testsuite")  # noqa: S314 - our own text
    assert suite is not None
    return suite


def _cases(suite: Element, kind: str) -> dict[str, str]:
    """Message by name of the cases with such a child."""
    found = {}
    for case in suite.findall("testcase"):
        child = case.find(kind)
        if child is not None:
            found[case.get("name") or ""] = child.get("message") or ""
    return found


def test_a_run_as_predicted_is_green(record: Record) -> None:
    suite = _suite(record)
    names = [case.get("name") or "" for case in suite.findall("testcase")]
    claims = [name for name in names if not name.startswith("guard::")]
    assert "connection-per-request::ok >= 95% during fault" in claims
    assert len(claims) == len(record.verdict.claims)
    assert len(names) == int(suite.get("tests") or 0) == len(set(names))
    assert [suite.get(key) for key in ("failures", "errors", "skipped")] == ["0", "0", "0"]
    assert suite.get("name") == "reddit-hug"


def test_properties_say_what_ran(record: Record) -> None:
    suite = _suite(record)
    values = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert values["seed"] == "1"
    assert values["version.toxiproxy"] == "2.12.0"
    assert values["host.cores"] == "2"
    assert values["verdict"] == "as predicted"


def test_a_wrong_prediction_is_a_failure_with_its_number(record: Record) -> None:
    suite = _suite(records.missed(record))
    assert _cases(suite, "failure") == {
        "connection-per-request::ok >= 95% during fault": (
            "predicted to break, measured 99.4 % (bound 95 %)"
        )
    }
    assert suite.get("failures") == "1"


def test_a_broken_promise_says_since_when(record: Record) -> None:
    claims = tuple(
        replace(c, true=False, measured="90 %", first_broken_s=11.0)
        if c.design == "pool-sized" and c.claim.startswith("ok")
        else c
        for c in record.verdict.claims
    )
    verdict = replace(records.missed(record).verdict, claims=claims)
    failures = _cases(_suite(replace(record, verdict=verdict)), "failure")
    assert list(failures.values()) == [
        "predicted to hold, measured 90 % (bound 99 %), first broken T+11 s"
    ]


def test_a_run_that_proved_nothing_skips_its_claims_and_errs_on_the_guard(record: Record) -> None:
    suite = _suite(records.unknown(record))
    assert len(_cases(suite, "skipped")) == len(record.verdict.claims)
    assert "guard::latency bit" in _cases(suite, "error")
    assert _cases(suite, "failure") == {}


def test_incomplete_healing_is_an_error_with_the_command(record: Record) -> None:
    suite = _suite(records.unhealed(record))
    assert "healing" in _cases(suite, "error")
    text = "".join(error.text or "" for error in suite.iter("error"))
    assert f"lab clean --run {record.run_id}" in text


def test_an_interrupted_run_is_an_error(record: Record) -> None:
    suite = _suite(replace(record, interrupted="by the person at the keyboard"))
    assert _cases(suite, "error") == {"interrupted": "by the person at the keyboard"}


def test_text_that_xml_cannot_hold_is_replaced(record: Record) -> None:
    odd = replace(record, host={"name": "a\x00b\x1b<&>\ud800"})
    values = {p.get("name"): p.get("value") for p in _suite(odd).iter("property")}
    assert values["host.name"] == "a\ufffdb\ufffd<&>\ufffd"
