"""The PromQL of all dashboards, as they stand in the committed JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana" / "json"


def boards() -> dict[str, dict[str, Any]]:
    """The committed dashboards by the name of their file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def targets(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every query of a dashboard: of its panels, and of its annotations."""
    for panel in board["panels"]:
        yield from panel.get("targets", ())
    for annotation in board["annotations"]["list"]:
        yield annotation["target"]


def expressions() -> list[str]:
    """Every expression once, in alphabetical order."""
    return sorted({target["expr"] for board in boards().values() for target in targets(board)})


def ask_for(expression: str) -> str:
    """The expression as Prometheus takes it, with every design selected."""
    return expression.replace("$design", ".*")
