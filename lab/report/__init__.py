"""Reports of a finished run: a page for people, a summary for GitHub, JUnit XML for CI."""

from __future__ import annotations

from pathlib import Path

from lab.record import Record
from lab.report.html import page
from lab.report.junit import junit
from lab.report.summary import summary

__all__ = ["write"]


def write(record: Record, folder: Path) -> None:
    """Write `report.html`, `summary.md` and `junit.xml` into the run's folder."""
    (folder / "report.html").write_text(page(record), encoding="utf-8")
    (folder / "summary.md").write_text(summary(record), encoding="utf-8")
    (folder / "junit.xml").write_text(junit(record), encoding="utf-8")
