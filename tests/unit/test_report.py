"""`report.html`: self-contained, locked down by its own policy, and readable without a script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lab import report
from lab.history import History
from lab.page import charts as charts_module
from lab.page.charts import Numbers, charts, data, is_counter, watched
from lab.page.tables import prose
from lab.record import Record
from lab.report.html import page
from tests.unit import records

VENDOR = Path(charts_module.__file__).parent / "static" / "vendor"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> & \"quoted\" 'too'"


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text of some."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style", "title", "h1"):
            self._open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, text: str) -> None:
        if self._open:
            self.inside[self._open[-1]][-1] += text


@pytest.fixture(scope="module")
def record() -> Record:
    return records.record()


@pytest.fixture(scope="module")
def html(record: Record) -> str:
    return page(record)


@pytest.fixture(scope="module")
def parsed(html: str) -> Page:
    return Page(html)


def test_the_files_are_written(record: Record, tmp_path: Path) -> None:
    report.write(record, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html",
        "summary.md",
        "junit.xml",
        "chart.svg",
        "chart.png",
    }
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())


def test_it_is_small(html: str) -> None:
    assert len(html.encode()) < 300_000


def test_nothing_is_loaded_from_anywhere(parsed: Page, html: str) -> None:
    loading = {"src", "srcset", "poster", "background", "data", "action", "formaction", "ping"}
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        assert not loading & attributes.keys(), tag
        for event in attributes:
            assert not event.startswith("on"), f"{tag} {event}"
        assert "style" not in attributes, f"{tag}: inline styles are refused by the policy"
    assert "url(" not in html.partition("</style>")[0]
    assert "@import" not in html


def test_the_policy_allows_exactly_the_inline_script_and_style(parsed: Page) -> None:
    policy = next(
        attributes["content"] or ""
        for tag, attributes in parsed.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    scripts = [text for text in parsed.inside["script"] if not text.startswith("{")]
    assert len(scripts) == len(parsed.inside["style"]) == 1
    assert rules["script-src"] == f"'sha256-{_hash(scripts[0])}'"
    assert rules["style-src"] == f"'sha256-{_hash(parsed.inside['style'][0])}'"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_verdict_stands_in_the_head_and_in_text(parsed: Page, html: str) -> None:
    assert parsed.inside["title"][0].startswith("✓ reddit-hug: What happens to a URL shortener")
    metas = {
        a.get("name") or a.get("property"): a.get("content")
        for t, a in parsed.elements
        if t == "meta"
    }
    assert str(metas["description"]).startswith("As predicted: connection-per-request breaks")
    assert metas["og:description"] == metas["description"]
    assert "<strong>✓ As predicted</strong>" in html


def test_a_design_shows_its_state_its_why_and_its_broken_link(record: Record, html: str) -> None:
    for name in record.experiment.designs:
        card = html.partition(f'aria-label="{name}"')[2].partition("</article>")[0]
        assert ("✗ breaks since T+" in card) is (name != "pool-sized")
        assert ("✓ holds, as predicted" in card) is (name == "pool-sized")
        assert "<b>Why</b>" in card
        assert "latency 200 ms on app to db" in card
        assert card.count('class="link broken"') == 1
        assert card.count("<figure") == 5


def test_every_chart_has_a_text_alternative(parsed: Page) -> None:
    plots = [a for tag, a in parsed.elements if tag == "div" and a.get("class") == "plot"]
    assert len(plots) == 15
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 40 for a in plots)
    assert all(a["tabindex"] == "0" for a in plots)
    latency = next(a["aria-label"] for a in plots if a["data-design"] == "pool-default")
    assert re.search(
        r"p99 at most \d+\.?\d* ms in baseline .*, 5 s in fault \(T\+\d+ s\)", latency or ""
    )


def test_every_table_is_there_without_a_script(record: Record, html: str) -> None:
    body = html.partition("</main>")[0]
    for title in ("Claims", "What the better design costs", "What was broken", "Lesson", "Sources",
                  "What the verdict rests on", "The instrument", "This run"):  # fmt: skip
        assert f"<h2>{title}</h2>" in body
    for claim in record.verdict.claims:
        assert claim.claim.replace("<", "&lt;").replace(">", "&gt;") in body
    assert "lab run experiments/reddit-hug.yaml --seed 1" in body
    assert "pool-sized used 27 % less CPU per request" in body


def test_hostile_text_of_a_run_stays_text(record: Record) -> None:
    what = record.experiment.model_copy(
        update={
            "question": HOSTILE, "lesson": HOSTILE, "costs": HOSTILE, "sources": (HOSTILE,),
            "text": HOSTILE, "path": HOSTILE, "watch": ('m{route="</script><img src=x>"}',),
        }
    )  # fmt: skip
    fault = replace(record.faults[0], text=HOSTILE, during=HOSTILE)
    hostile = replace(
        record, experiment=what, faults=(fault,), whys=dict.fromkeys(what.designs, HOSTILE),
        versions={HOSTILE: HOSTILE}, host={HOSTILE: HOSTILE}, residue=(HOSTILE,),
        engine=HOSTILE, run_id=HOSTILE, interrupted=HOSTILE,
    )  # fmt: skip
    seen = Page(page(hostile))
    assert [tag for tag, _ in seen.elements].count("script") == 2
    assert "img" not in {tag for tag, _ in seen.elements}
    assert seen.inside["h1"][0] == HOSTILE
    embedded = json.loads(next(t for t in seen.inside["script"] if t.startswith("{")))
    assert embedded["faults"][0]["text"].startswith("</script>")


@pytest.mark.parametrize(
    ("change", "banner"),
    [
        (records.missed, "✗ Not as predicted"),
        (records.unknown, "? Unknown"),
        (records.unhealed, "Healing is incomplete"),
    ],
)
def test_other_outcomes_say_so_on_top(record: Record, change: Any, banner: str) -> None:
    header = page(change(record)).partition("</header>")[0]
    assert banner in header


def test_incomplete_healing_shows_what_is_left_and_the_command(record: Record) -> None:
    header = page(records.unhealed(record)).partition("</header>")[0]
    assert "toxic latency on pool-sized.app-1.to.db-1.5432" in header
    assert f"lab clean --run {record.run_id}" in header


def test_a_run_without_faults_operations_or_samples_still_has_a_page(record: Record) -> None:
    what = record.experiment.model_copy(update={"faults": (), "watch": ("app_db_connections",)})
    empty = replace(
        record, experiment=what, history=History(), faults=(), costs={}, lags={}, whys={}, links={}
    )
    html = page(empty)
    assert "Nothing was broken in this experiment" in html
    assert "nothing was scraped" in html


def test_what_is_drawn_are_the_windows(record: Record) -> None:
    numbers = Numbers.of(record)
    drawn = data(numbers)
    bare = drawn["designs"]["connection-per-request"]
    in_fault = [op for op in record.history.of("connection-per-request") if 12 <= op.due_s < 13]
    assert bare["fail"][12] == sum(op.outcome == "fail" for op in in_fault) > 10
    assert len(bare["p99"]) == 35
    assert drawn["faults"] == [
        {
            "name": "latency",
            "design": "",
            "text": "latency 200 ms",
            "kind": "latency",
            "from": 8.21,
            "to": 20.006,
        }
    ]
    assert [p["name"] for p in drawn["phases"]] == ["baseline", "fault", "recovery"]


def test_a_bound_is_drawn_on_its_chart_where_its_claim_looks(record: Record) -> None:
    designs = data(Numbers.of(record))["designs"]
    (share,) = designs["connection-per-request"]["bounds"]
    assert (share["chart"], share["text"], share["from"]) == ("outcomes", "ok >= 95 %", 9.0)
    assert share["value"] == pytest.approx(0.95 * records.RATE_PER_S, rel=0.1)
    assert {
        "chart": "latency", "text": "p99 < 1 s", "value": 1.0, "from": 9.0, "to": 19.0
    } in designs["pool-sized"]["bounds"]  # fmt: skip


def test_a_fault_that_never_came_off_is_drawn_to_the_end(record: Record) -> None:
    stuck = replace(record.faults[0], healed_s=None, gone_s=None)
    assert data(Numbers.of(replace(record, faults=(stuck,))))["faults"][0]["to"] == 35
    never = replace(record.faults[0], injected_s=None, confirmed_s=None)
    assert data(Numbers.of(replace(record, faults=(never,))))["faults"] == []


def test_counters_are_drawn_per_second_and_gauges_as_they_are(record: Record) -> None:
    numbers = Numbers.of(record)
    assert is_counter('app_requests_total{route="/x"}')
    assert not is_counter("app_db_connections")
    per_second = watched(numbers.facts, "app_requests_total", "pool-sized")
    assert per_second[:3] == [None, 60.0, 60.0]
    assert watched(numbers.facts, "app_db_connections", "pool-sized")[12] == 12.0
    assert [chart.unit for chart in charts(numbers, "pool-sized")[3:]] == [
        "sum of instances",
        "per second",
    ]


def test_vendored_files_are_what_vendor_json_says() -> None:
    (entry,) = json.loads((VENDOR / "vendor.json").read_text())
    assert entry["licence"] == "MIT"
    for name, digest in entry["sha256"].items():
        assert hashlib.sha256((VENDOR / entry["folder"] / name).read_bytes()).hexdigest() == digest
    there = {path.name for path in (VENDOR / entry["folder"]).iterdir()}
    assert there == entry["sha256"].keys()


def test_the_built_package_holds_the_static_files() -> None:
    """Hatchling takes every file under `lab/`; nothing may exclude these."""
    project = tomllib.loads((Path(report.__file__).parents[2] / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["lab"]}


def test_prose_knows_paragraphs_lists_and_code() -> None:
    assert prose("One\nline.\n\n- a `b<c`\n- d") == (
        "<p>One line.</p><ul><li>a <code>b&lt;c</code></li><li>d</li></ul>"
    )
