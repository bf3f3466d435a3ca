"""Style and scripts of the pages: inline in the report, served to the live page."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

STATIC = files("lab.page") / "static"
UPLOT = "vendor/uplot-1.6.32"
SCRIPTS = (f"{UPLOT}/uPlot.iife.min.js", "charts.js", "page.js", "offline.js")
"""What report.html runs, in this order."""


@cache
def asset(path: str) -> str:
    """A text file of the package; a `</script` in a string must not end the element."""
    return (STATIC / path).read_text(encoding="utf-8").replace("</script", "<\\/script")


def json_for_html(body: object) -> str:
    """JSON that cannot close its script element."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
