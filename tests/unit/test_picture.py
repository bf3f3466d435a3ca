"""`chart.svg` and `chart.png`: the run in one picture, without a browser or the machine's fonts."""

from __future__ import annotations

import struct
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from lab.history import History
from lab.record import Record
from lab.report.picture import chart_png, chart_svg
from tests.unit import records

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


def of_class(picture: str, css: str) -> list[ET.Element]:
    """Elements of the picture with that class; the three of the legend come first."""
    return [
        e
        for e in ET.fromstring(picture).iter()  # noqa: S314 - our own
        if css in (e.get("class") or "").split()
    ]


def test_every_design_has_its_lines_its_bars_and_the_fault(record: Record) -> None:
    """One band per design over the fault's own seconds, of the same length in each."""
    picture = chart_svg(record)
    designs = len(record.experiment.designs)
    assert len(of_class(picture, "p99")) == designs + 1
    bands = of_class(picture, "band")[1:]
    assert len(bands) == designs
    assert len({band.get("width") for band in bands}) == 1
    panel = float(of_class(picture, "grid")[0].get("x2")) - float(bands[0].get("x"))
    assert 0 < float(bands[0].get("width")) < panel
    assert len(of_class(picture, "fail")) > 1 + 5  # the first design fails while the fault is on


def test_a_second_without_answers_is_a_gap(record: Record) -> None:
    """Nothing is drawn where nothing was measured: the line breaks and starts again."""
    ops = [op for op in record.history.ops if not 2.0 <= op.due_s < 5.0]
    history = History(ops, record.history.events, record.history.samples)
    lines = of_class(chart_svg(replace(record, history=history)), "p99")[1:]
    assert [line.get("d").count("M") for line in lines] == [2] * len(lines)


def test_words_of_the_author_stay_words(record: Record) -> None:
    """A question with markup in it is shown, not obeyed; one that is long is made to fit."""
    long = "Is <b>this</b> & that " + "really " * 30 + "so?"
    what = record.experiment.model_copy(update={"question": long})
    picture = chart_svg(replace(record, experiment=what))
    (question,) = of_class(picture, "q")
    assert question.text == long
    assert 3 < float(question.get("style").removeprefix("font-size:").removesuffix("px")) < 17


def test_the_png_is_the_same_at_twice_the_size(record: Record) -> None:
    """By its header; and it has ink: letters come from the font that the lab brings."""
    picture = chart_svg(record)
    root = ET.fromstring(picture)  # noqa: S314 - our own
    png = chart_png(picture)
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert (width, height) == (2 * int(root.get("width")), 2 * int(root.get("height")))
    for text in root.iter(f"{SVG}text"):
        text.text = ""
    assert len(chart_png(ET.tostring(root, encoding="unicode"))) < 0.8 * len(png)
