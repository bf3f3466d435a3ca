"""The drawing of a topology: layers, the same every time, only what was broken marked."""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

import pytest

from lab.page.layout import draw
from lab.page.topology_svg import topology_svg
from lab.plan import deploy
from lab.record import Record
from lab.topology import Link, Service, Topology
from tests.unit import records


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


def _topology(*links: str, entry: str = "client -> lb:80") -> Topology:
    parsed = tuple(Link.parse(text) for text in links)
    first = Link.parse(entry)
    names = {first.server, *(end for link in parsed for end in (link.client, link.server))}
    return Topology("t", {name: Service(name, image=name) for name in sorted(names)}, parsed, first)


def test_each_service_stands_one_layer_behind_its_farthest_client() -> None:
    drawing = draw(_topology("lb -> app:1", "app -> db:2", "lb -> db:2"))
    layers = {name: layer for name, (layer, _) in drawing.place.items()}
    assert layers == {"client": 0, "lb": 1, "app": 2, "db": 3}


def test_a_long_link_bends_in_every_layer_it_crosses() -> None:
    drawing = draw(_topology("lb -> app:1", "app -> db:2", "lb -> db:2"))
    route = drawing.routes[Link.parse("lb -> db:2")]
    assert [layer for layer, _ in route] == [1, 2, 3]
    assert route[1] != drawing.place["app"]


def test_links_that_would_cross_are_put_in_order() -> None:
    drawing = draw(_topology("lb -> a:1", "lb -> b:1", "a -> y:1", "b -> x:1"))
    assert (drawing.place["a"][1] < drawing.place["b"][1]) is (
        drawing.place["y"][1] < drawing.place["x"][1]
    )


def test_a_cluster_whose_nodes_all_talk_to_each_other_is_drawn() -> None:
    nodes = ("n1", "n2", "n3")
    links = [f"{a} -> {b}:1" for a in nodes for b in nodes if a != b]
    drawing = draw(_topology("lb -> n1:1", *links))
    assert len(set(drawing.place.values())) == 5
    for link, route in drawing.routes.items():
        assert (route[0], route[-1]) == (drawing.place[link.client], drawing.place[link.server])


def test_the_same_topology_gives_the_same_drawing(record: Record) -> None:
    again = records.record()
    assert _drawn(record, "pool-sized") == _drawn(again, "pool-sized")


def test_only_the_broken_link_is_marked(record: Record) -> None:
    root = _parsed(record, "pool-sized")
    assert _classes(root).count("link broken") == 1
    assert [e.text for e in root.iter() if e.get("class") == "note"] == ["latency 200 ms"]


def test_a_broken_service_is_marked_with_the_replica(record: Record) -> None:
    instances = deploy(record.experiment).instances_of("app-2")
    pause = replace(
        record.faults[0],
        kind="pause",
        text="pause of app-2",
        targets=tuple(i.name for i in instances),
    )
    root = _parsed(replace(record, faults=(pause,)), "pool-sized")
    assert [e.text for e in root.iter() if e.get("class") == "note"] == ["pause app-2"]
    assert "box broken" in _classes(root)
    assert "link broken" not in _classes(root)


def test_a_fault_of_another_design_is_not_marked_here(record: Record) -> None:
    (first, *_) = record.faults[0].targets
    assert first.startswith("connection-per-request/")
    only = replace(record, faults=(replace(record.faults[0], targets=(first,)),))
    assert "link broken" in _classes(_parsed(only, "connection-per-request"))
    assert "link broken" not in _classes(_parsed(only, "pool-sized"))


def test_everything_is_inside_the_picture(record: Record) -> None:
    root = _parsed(record, "pool-sized")
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    boxes = [e for e in root.iter() if e.tag.endswith("rect")]
    assert len(boxes) == 6  # five nodes, and one more behind the replicated one
    for box in boxes:
        x, y, w, h = (float(box.get(key) or "") for key in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height


def _parsed(record: Record, design: str) -> Element:
    return fromstring(_drawn(record, design))  # noqa: S314 - our own text


def _drawn(record: Record, design: str) -> str:
    return topology_svg(record.experiment, record.faults, design)


def _classes(root: Element) -> list[str]:
    return [element.get("class") or "" for element in root.iter()]


def test_what_stands_at_links_stays_in_the_drawing_and_off_the_boxes(record: Record) -> None:
    """Under a broken link stand what was measured and what it carries; 5.6 px are a character."""
    what = record.experiment
    carried = dict.fromkeys(what.designs["pool-sized"].topology.all_links, "9.94 KiB/s")
    for faults in ((), record.faults):
        svg = fromstring(topology_svg(what, faults, "pool-sized", carried))  # noqa: S314 - our own
        width, height = (float(value) for value in svg.attrib["viewBox"].split()[2:])
        boxes = [
            (float(box.attrib["x"]), float(box.attrib["y"]), float(box.attrib["width"]))
            for box in svg.iter()
            if box.attrib.get("class", "").startswith("box")
        ]
        texts = [text for text in svg.iter() if text.attrib.get("class") == "carried"]
        assert len(texts) == len(carried) + len(faults)
        for text in texts:
            x, y = float(text.attrib["x"]), float(text.attrib["y"])
            half = 5.6 * len(text.text or "") / 2
            assert y + 3 <= height
            assert 0 <= x - half <= x + half <= width
            for left, top, wide in boxes:
                apart = x + half <= left or x - half >= left + wide
                assert apart or y - 8 >= top + 38 or y + 3 <= top, (text.text, x, y, left, top)
