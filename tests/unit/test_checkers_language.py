"""The language of claims: what it takes, what it means, and what it refuses."""

from __future__ import annotations

import pytest

from lab.claims import Bound, Measure, Moment, Window, parse_claim, parse_measure


@pytest.mark.parametrize(
    ("text", "measure", "operator", "bound", "window"),
    [
        ("p99 < 300ms during fault", Measure("p99"), "<", Bound(0.3), Window("fault")),
        ("errors<1%", Measure("errors"), "<", Bound(0.01), Window()),
        ("goodput > 90/s", Measure("goodput"), ">", Bound(90.0), Window()),
        ("memory <= 64MiB", Measure("memory"), "<=", Bound(2.0**26), Window()),
        ("attempts >= 2.5", Measure("attempts"), ">=", Bound(2.5), Window()),
        (
            "p50 of follow < 3x baseline during fault",
            Measure("p50", request="follow"),
            "<",
            Bound(factor=3.0, reference="baseline"),
            Window("fault"),
        ),
        (
            "ok >= 20 points over one+two during fault",
            Measure("ok"),
            ">=",
            Bound(points=0.2, reference="one+two"),
            Window("fault"),
        ),
        (
            "within(1s) > 99% from 3s to fault.end+1m30s",
            Measure("within", "1s"),
            ">",
            Bound(0.99),
            Window(None, Moment(None, "start", 3.0), Moment("fault", "end", 90.0)),
        ),
        (
            "bad_seconds(500ms) == 0 from gc-12-500ms to gc-12",
            Measure("bad_seconds", "500ms"),
            "==",
            Bound(0.0),
            Window(None, Moment("gc-12", "start", -0.5), Moment("gc-12", "start", 0.0)),
        ),
        (
            'increase(app_refused_total{route="/a(b)"}) > 50',
            Measure("increase", 'app_refused_total{route="/a(b)"}'),
            ">",
            Bound(50.0),
            Window(),
        ),
        ("recovered within 5s", Measure("recovery"), "<=", Bound(5.0), Window("fault")),
        ("recovered within 5s of leg-2", Measure("recovery"), "<=", Bound(5.0), Window("leg-2")),
        (
            "recovery > 2x sturdy",
            Measure("recovery"),
            ">",
            Bound(factor=2.0, reference="sturdy"),
            Window("fault"),
        ),
        ("recovery of leg > 9s", Measure("recovery"), ">", Bound(9.0), Window("leg")),
    ],
)
def test_claim_means(
    text: str, measure: Measure, operator: str, bound: Bound, window: Window
) -> None:
    """Each form of a claim is read as the grammar says."""
    claim = parse_claim(text)
    assert (claim.measure, claim.operator, claim.bound, claim.window) == (
        measure,
        operator,
        bound,
        window,
    )
    assert str(claim) == text


@pytest.mark.parametrize(
    "text",
    [
        "p99",
        "p98 < 1s",
        "p99 < 3",
        "p99 < -1s",
        "p99(1s) < 1s",
        "within < 3%",
        "within(3) < 3%",
        "errors < 101%",
        "attempts < nan",
        "attempts < inf",
        "p99 < 0x baseline",
        "p99 > 20 points over sturdy",
        "goodput > 3x base line",
        "p99 < 1s from 3 to 5",
        "cpu < 3 during fault",
        "cpu of get < 3",
        "peak(a) of get < 3",
        "peak(a{b=}) > 1",
        "peak(a b) > 1",
        "recovery < 5s from 1s to 2s",
        "recovered within 5",
    ],
)
def test_claim_refused(text: str) -> None:
    """What the language does not have is refused with a message that says what is wrong."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_claim(text)


def test_measure_of_a_metric_knows_its_labels() -> None:
    """A selector splits into the metric's name and its labels."""
    measure, window = parse_measure('peak(queue{route="/x", code="200"})\n during fault')
    assert measure.metric == "queue"
    assert measure.selector == (("route", "/x"), ("code", "200"))
    assert window == Window("fault")
    assert Measure("p99").metric is None
    assert Measure("p99").selector == ()


def test_measure_takes_no_bound() -> None:
    """In a sentence a comparison is a mistake."""
    with pytest.raises(ValueError, match="is not a measure"):
        parse_measure("p99 < 1s")
