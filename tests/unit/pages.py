"""What live.js does with the frames of a page, in Python: for tests without a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = ("p50", "p95", "p99", "ok", "fail", "info", "in_flight")


def shown_after(page: dict[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The page after a frame."""
    shown = {**page, **{k: body[k] for k in ("n", "clock", "phase", "finished")}}
    shown["slots"] = {**page.get("slots", {}), **body["slots"]}
    if "run" in body:
        shown["run"] = body["run"]
    elif "add" in body:
        shown["run"] = {**page["run"], "designs": _grown(page["run"]["designs"], body["add"])}
    if shown.get("run"):
        shown["run"] = {**shown["run"], "faults": body["bands"]}
    return shown


def _grown(designs: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    grown = {}
    for name, design in designs.items():
        new = added[name]
        columns = {key: [*design[key][: new["from"]], *new[key]] for key in COLUMNS}
        start = new["watch"]["from"]
        watch = [
            [*column[:start], *more]
            for column, more in zip(design["watch"], new["watch"]["columns"], strict=True)
        ]
        grown[name] = {**design, **columns, "bounds": new["bounds"], "watch": watch}
    return grown
