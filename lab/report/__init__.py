"""Reports of a finished run: a page and a picture for people, a summary for GitHub, XML for CI."""

from __future__ import annotations

from pathlib import Path

from lab.record import Record
from lab.report.html import page
from lab.report.junit import junit
from lab.report.picture import chart_png, chart_svg
from lab.report.summary import summary

__all__ = ["write"]


def write(record: Record, folder: Path) -> None:
    """Write the page, the picture, the summary and the JUnit file into the run's folder."""
    (folder / "report.html").write_text(page(record), encoding="utf-8")
    (folder / "summary.md").write_text(summary(record), encoding="utf-8")
    (folder / "junit.xml").write_text(junit(record), encoding="utf-8")
    picture = chart_svg(record)
    (folder / "chart.svg").write_text(picture, encoding="utf-8")
    (folder / "chart.png").write_bytes(chart_png(picture))
