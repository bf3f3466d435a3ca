"""Sentences with measured numbers in braces."""

from __future__ import annotations

import pytest

from lab.claims import Measure, Window
from lab.sentences import Expression, parse_sentence


def test_words_and_expressions():
    """A sentence is its words and its expressions, in order."""
    before, expression, after = parse_sentence(
        "needs {60 * average(app_hold) / 2 during fault} of them"
    )
    assert (before, after) == ("needs ", " of them")
    assert isinstance(expression, Expression)
    assert expression.terms == (("*", 60.0), ("*", Measure("average", "app_hold")), ("/", 2.0))
    assert expression.window == Window("fault")
    assert expression.measures == (Measure("average", "app_hold"),)


def test_several_lines_and_no_window():
    """Line breaks do not matter; without a window the whole run counts."""
    (expression,) = parse_sentence("{p50\n  of follow}")
    assert expression == Expression(
        "p50 of follow", (("*", Measure("p50", None, "follow")),), Window()
    )


def test_selector_with_braces_and_slashes():
    """A metric's selector has braces, quotes and slashes of its own."""
    (expression,) = parse_sentence('{increase(hits{route="/a}*b"}) / 2 during fault}')
    assert isinstance(expression, Expression)
    assert expression.measures[0].selector == (("route", "/a}*b"),)
    assert [factor for _, factor in expression.terms][1] == 2.0


def test_recovery_names_its_phase():
    """`recovery of silence` counts from that phase's end."""
    (expression,) = parse_sentence("{recovery of silence}")
    assert isinstance(expression, Expression)
    assert expression.window == Window("silence")


def test_sentence_without_braces():
    """Plain words stay as they are."""
    assert parse_sentence("nothing measured") == ("nothing measured",)
    assert parse_sentence("") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{p50", "a `{` is never closed"),
        ("p50}", "a `}` closes nothing"),
        ("{}", "nothing stands between the braces"),
        ("{60}", "measures nothing"),
        ("{2 * }", "a factor is missing"),
        ("{p98 during fault}", "`p98` is not a measure"),
        ("{p50 during fault * 2}", "the window stands once, after the last factor"),
        ("{p50 > 1s}", "is not a measure"),
    ],
)
def test_mistakes(text: str, message: str):
    """What is not an expression is said to be none."""
    with pytest.raises(ValueError, match=message):
        parse_sentence(text)
