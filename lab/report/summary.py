"""`summary.md`: the run on one page of Markdown, with the topology as a Mermaid drawing.

GitHub renders it in a job's summary, a pull request or the repository; it also reads as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lab.page.topology_svg import marks_of
from lab.plan import configured
from lab.record import Record
from lab.topology import CLIENT, Topology
from lab.verdict import Status
from lab.words import (
    STATUS_GLYPH,
    claims_of,
    design_state,
    fault_words,
    iso_time,
    lag_words,
    observer_words,
    price,
    price_of_better,
    remedy,
    reproduce,
    result_words,
    verdict_line,
)


def summary(record: Record) -> str:
    """The whole page."""
    what = record.experiment
    parts = [
        f"# {STATUS_GLYPH[record.verdict.status]} {what.question}",
        f"**{verdict_line(record)}**",
        _reasons(record),
        _healing(record),
        *(_design(record, name) for name in what.designs),
        "## Topology",
        *_topologies(record),
        _faults(record),
        _costs(record),
        f"## Lesson\n\n{_lesson(what.lesson)}",
        _facts(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reasons(record: Record) -> str:
    if record.verdict.status is Status.AS_PREDICTED:
        return ""
    return "\n".join(f"- {reason}" for reason in record.verdict.reasons)


def _healing(record: Record) -> str:
    if not record.residue:
        return ""
    left = "\n".join(f"> - {what}" for what in record.residue)
    command = remedy(record)
    return f"> ✗ **Left behind:**\n{left}" + (
        f"\n>\n> Clear it with `{command}`." if command else ""
    )


def _design(record: Record, name: str) -> str:
    rows = [
        (claim.side, f"`{claim.claim}`", claim.measured, claim.bound, result_words(claim))
        for claim in claims_of(record, name)
    ]
    why = record.whys.get(name, "")
    table = _table(("predicted", "claim", "measured", "bound", "came out"), rows)
    return f"## {name}: {design_state(record, name)}\n\n" + (f"{why}\n\n" if why else "") + table


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """A pipe would end the cell, a line break the row."""
    return text.replace("|", "\\|").replace("\n", " ")


def _topologies(record: Record) -> Iterable[str]:
    """One drawing per topology, with the designs that use it."""
    users: dict[str, tuple[Topology, list[str]]] = {}
    for name, design in record.experiment.designs.items():
        drawing = _mermaid(record, name)
        users.setdefault(drawing, (design.topology, []))[1].append(name)
    for drawing, (_, names) in users.items():
        yield f"{', '.join(names)}:\n\n```mermaid\n{drawing}\n```"


def _mermaid(record: Record, name: str) -> str:
    design, marks = (
        record.experiment.designs[name],
        marks_of(record.experiment, record.faults, name),
    )
    lines = ["flowchart LR", f"  {_id(CLIENT)}([clients])"]
    for service in configured(design).values():
        times = f" ×{service.replicas}" if service.replicas > 1 else ""
        note = "".join(f"<br>⚡ {hit}" for hit in marks.services.get(service.name, ()))
        lines.append(f'  {_id(service.name)}["{_quoted(service.name + times + note)}"]')
    for link in design.topology.all_links:
        hits = ", ".join(marks.links.get(link, ()))
        arrow = f'-. "⚡ {_quoted(hits)}" .->' if hits else "-->"
        lines.append(f"  {_id(link.client)} {arrow} {_id(link.server)}")
    return "\n".join(lines)


def _id(name: str) -> str:
    """A Mermaid identifier: `end` and such are words of its language, so none is bare."""
    return "s_" + re.sub(r"\W", "_", name)


def _quoted(text: str) -> str:
    return text.replace('"', "#quot;")


def _faults(record: Record) -> str:
    if not record.faults:
        return ""
    rows = [
        (f.text, f.before or "–", f.during or "–", f.after or "–", fault_words(f))
        for f in sorted(record.faults, key=lambda f: f.planned_s)
    ]
    return "## Faults\n\n" + _table(("fault", "before", "during", "after", "proved"), rows)


def _costs(record: Record) -> str:
    if not record.costs:
        return ""
    prices = [price(record, name) for name in record.experiment.designs]
    rows = [(p.design, p.containers, p.cpu, p.memory, p.p50) for p in prices]
    head = ("design", "instances", "CPU per 1,000 requests", "memory at peak", "p50 unbroken")
    said = [price_of_better(record), record.experiment.costs.strip()]
    return "\n\n".join(["## What it costs", _table(head, rows), *(text for text in said if text)])


def _facts(record: Record) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    host = ", ".join(f"{name} {value}" for name, value in record.host.items())
    lags = "; ".join(f"{name} {lag_words(record, name)}" for name in record.lags)
    rows = [
        ("run", f"{record.run_id}, {iso_time(record.started_unix_s)}, seed {record.seed}"),
        ("engine", f"{record.engine} ({versions})" if versions else record.engine),
        ("host", host or "–"),
        ("drivers late by", lags or "–"),
        ("the lab itself used", observer_words(record)),
        ("again", f"`{reproduce(record)}`"),
    ]
    return "## This run\n\n" + _table(("", ""), rows)


def _lesson(text: str) -> str:
    """The lesson; its sums, indented by two, by four as Markdown wants code."""
    return re.sub(r"^  (?=\S| )", "    ", text.strip("\n"), flags=re.MULTILINE)
