"""A real run on this machine's own engine, followed and replayed in a real browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.e2e.browser import (
    BLANK,
    browser,
    complaints,
    open_page,
    run_script,
    text_of,
    violations,
    wait_for,
)
from tests.e2e.support import FILES, start_lab, wait_until

__all__ = ["browser"]

pytestmark = [pytest.mark.browser, pytest.mark.local]

LAG_MS = 300
"""What the page promises: from the run's message to the painted chart, at the 95th percentile."""


def _address(log: Path) -> str:
    """Where a `lab` that was just started serves, once it says so."""
    wait_until(lambda: "http://" in log.read_text(), 30, "the address of the page")
    found = re.search(r"http://127\.0\.0\.1:\S+", log.read_text())
    assert found is not None
    return found[0]


def _verdict(browser: Chrome) -> str:
    return text_of(browser, ".verdict")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_a_run_of_500_requests_a_second_is_on_the_page_within_300_ms(
    browser: Chrome, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    complaints(browser)
    log = tmp_path / "lab.log"
    file = str(FILES / "five-hundred.yaml")
    process = start_lab("run", file, "--engine", "local", "--page", "--runs", str(runs), log=log)
    try:
        open_page(browser, _address(log))
        wait_for(browser, "typeof Lab !== 'undefined' && Lab.debug?.newest.clock >= 4", 60)
        assert "designs are healthy" in _verdict(browser)
        assert "in 1 s." in _verdict(browser) or "in 0 s." in _verdict(browser)
        wait_for(browser, "Lab.debug.newest.clock >= 9", 20)
        assert "other is failing since T+" in _verdict(browser)
        assert "because of latency 300 ms on client -> app" in _verdict(browser)
        assert "KiB/s" in run_script(
            browser, "return document.querySelector('.topology').textContent"
        )
        assert run_script(browser, BLANK) == 0
        wait_for(browser, "Lab.debug.newest.finished", 60)
        assert "As predicted" in _verdict(browser)
        lags = sorted(run_script(browser, "return Lab.debug.lags"))
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    p95_ms = lags[int(0.95 * len(lags))]
    with capsys.disabled():
        print(f"\nfrom message to paint: p50 {lags[len(lags) // 2]:.0f} ms, p95 {p95_ms:.0f} ms "
              f"of {len(lags)} frames")  # fmt: skip
    assert len(lags) >= 15
    assert p95_ms < LAG_MS
    assert complaints(browser) == []


def test_the_same_run_replays_and_its_report_is_small(
    browser: Chrome, runs: Path, tmp_path: Path
) -> None:
    folder = (runs / "five-hundred" / "latest").resolve()
    lines = (folder / "messages.jsonl").read_text().splitlines()
    kinds = {json.loads(line)["is"] for line in lines}
    assert {"Hello", "Second", "Carried", "Sampled", "Explained", "FaultChanged"} <= kinds
    assert (folder / "report.html").stat().st_size < 300_000
    log = tmp_path / "view.log"
    process = start_lab("view", "five-hundred", "--no-open", "--runs", str(runs), log=log)
    try:
        open_page(browser, _address(log))
        wait_for(browser, "typeof Lab !== 'undefined' && Lab.debug?.newest.finished", 20)
        run_script(
            browser,
            "const s = document.getElementById('scrub'); s.value = 9;"
            "s.dispatchEvent(new Event('input'));",
        )
        wait_for(browser, "document.querySelector('.verdict').textContent.includes('is failing')")
        assert "other is failing since T+" in _verdict(browser)
        assert violations(browser) == []
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    except subprocess.TimeoutExpired:
        pytest.fail("lab view did not end at Ctrl-C")
    finally:
        process.kill()
        process.wait()
