"""Counterexamples drawn: in text, and as a picture that fits a telephone."""

from __future__ import annotations

import itertools
import re
from random import Random
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.checkers.finding import Arrow, Counterexample
from lab.checkers.lanes import Lanes, text
from lab.history import ClientOp
from lab.page.lanes_svg import STYLE, lanes_svg

SVG = "{http://www.w3.org/2000/svg}"
STALE = Counterexample(
    "`read x → 1` fits in no order",
    (
        ClientOp("", 1, "write", "x", 2, None, 0.0, 1.0, "ok"),
        ClientOp("", 3, "read", "x", None, 1, 2.0, 3.0, "ok"),
        ClientOp("", 4, "write", "x", 3, None, 2.5, 9.0, "info"),
    ),
    (1,),
    (Arrow(0, 1, "then"),),
)


def test_the_text_shows_who_did_what_when():
    """One lane a process, double where it cannot be, an open end where nothing was heard."""
    assert text(STALE).splitlines() == [
        "`read x → 1` fits in no order",
        "process 1  ├─1─┤",
        "process 3          ├═══2═══┤ ✗",
        "process 4              ├───3────▷",
        "1  write x 2",
        "2  read x → 1  ✗",
        "3  write x 3 → ?",
        "1 → 2  then",
    ]


def test_a_return_at_the_moment_of_an_invocation_comes_after_it():
    """As the checkers count them: the two overlap."""
    ops = (
        ClientOp("", 1, "write", "x", 2, None, 0.0, 1.0, "ok"),
        ClientOp("", 2, "read", "x", None, 2, 1.0, 2.0, "ok"),
    )
    first, second = Lanes.of(Counterexample("", ops)).bars
    assert first.last is not None
    assert second.first < first.last


def _texts(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{SVG}text"))  # noqa: S314 - our own drawing


def test_the_picture_says_all_of_it():
    """Labels, lanes, the arrow, one cross, and the sentence for those who do not see it."""
    svg = lanes_svg(STALE)
    words = [element.text for element in _texts(svg)]
    assert {"process 1", "process 3", "write x 2", "read x → 1", "write x 3 → ?", "then"} <= {
        *words
    }
    assert svg.count('class="cross"') == svg.count('class="op wrong"') == 1
    assert svg.count('class="op open"') == 1
    assert svg.count('class="arrow"') == svg.count('class="tip"') == 1
    assert 'aria-label="`read x → 1` fits in no order"' in svg


def test_a_page_may_bring_the_style():
    """Then there is none inside, and it is the same otherwise."""
    assert lanes_svg(STALE, style=False) == lanes_svg(STALE).replace(f"<style>{STYLE}</style>", "")
    assert set(re.findall(r'class="([\w ]+)"', lanes_svg(STALE, style=False)))


def test_nothing_to_draw_is_nothing():
    """A contradiction that could not be made small in time has no operations."""
    assert lanes_svg(Counterexample("no order explains all operations", ())) == ""


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_leaves_the_picture_or_covers_a_label_of_its_lane(seed):
    """Whatever is drawn: long labels, many operations of one process, arrows both ways."""
    rng = Random(seed)
    ops = []
    for number in range(rng.randint(1, 8)):
        start_s = rng.randrange(10)
        value = "v" * rng.choice([1, 5, 30, 90])
        outcome = rng.choice(["ok", "ok", "info"])
        ops.append(
            ClientOp("", number % 3, "write", "<x>", value, None, start_s, start_s + 2, outcome)
        )
    places = range(len(ops))
    arrows = [Arrow(rng.choice(places), rng.choice(places), "ww") for _ in range(3)]
    svg = lanes_svg(
        Counterexample("a & b", tuple(ops), (0,), tuple(a for a in arrows if a.start != a.end))
    )
    root = ET.fromstring(svg)  # noqa: S314 - our own drawing
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    labels: dict[float, list[tuple[float, float]]] = {}
    for element in root.iter(f"{SVG}text"):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        assert 0 <= y <= height
        if element.attrib["class"].startswith("label"):
            labels.setdefault(y, []).append((x, x + 6.9 * len(element.text or "")))
    assert sum(map(len, labels.values())) == len(ops)
    for spans in labels.values():
        spans.sort()
        assert spans[0][0] >= 0
        assert spans[-1][1] <= width
        assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))
