"""The committed dashboards: as made, stable, and about metrics that exist."""

from __future__ import annotations

import io
import tarfile
from itertools import combinations, pairwise

import pytest

from dashboards.__main__ import files
from dashboards.queries import boards, targets
from lab.engines.docker import grafana

BOARDS = boards()


def test_the_files_are_as_made() -> None:
    """Nobody edits them by hand; nothing is there that nobody makes."""
    assert {path.stem for path in files()} == set(BOARDS)
    for path, text in files().items():
        assert path.read_text() == text, f"{path.name}: run `make schema`"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_dashboard_is_stable_and_whole(name: str) -> None:
    """Fixed names for links; every panel has an id, a query, a unit, a description, a place."""
    board = BOARDS[name]
    assert board["uid"] == f"chaos-lab-{name}"
    ids = [panel["id"] for panel in board["panels"]]
    assert ids == list(range(1, len(ids) + 1))
    for panel in board["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert all(references)
        assert len(set(references)) == len(references) > 0
    for target in targets(board):
        assert target["datasource"]["uid"] == "chaos-lab"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_panels_do_not_overlap(name: str) -> None:
    """Nor do they leave the grid, which is 24 wide."""
    places = [panel["gridPos"] for panel in BOARDS[name]["panels"]]
    for one in places:
        assert 0 <= one["x"] < one["x"] + one["w"] <= 24
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or apart
    for one, other in pairwise(places):
        assert one["y"] <= other["y"]


def test_what_is_put_into_grafana_is_there() -> None:
    """Both provisioning files and every dashboard."""
    with tarfile.open(fileobj=io.BytesIO(grafana.files())) as tar:
        names = tar.getnames()
    assert "etc/grafana/provisioning/datasources/chaos-lab.yaml" in names
    assert "etc/grafana/provisioning/dashboards/chaos-lab.yaml" in names
    assert {f"var/lib/grafana/dashboards/{name}.json" for name in BOARDS} <= set(names)
