"""The report in a real browser: it draws, keeps its own policy, and fits a telephone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import Chrome

from lab import report
from tests.unit import records

pytestmark = pytest.mark.browser

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip

_BLANK = """
return [...document.querySelectorAll('.plot canvas')].filter(canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return !pixels.some(value => value !== 0);
}).length"""
"""How many charts have not a single pixel drawn."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium with its driver."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    report.write(records.record(), folder)
    return (folder / "report.html").as_uri()


def _open(
    browser: Chrome, address: str, width: int = 1440, height: int = 900, *, dark: bool = False
) -> None:
    """Load the page afresh in a window of that size, with that preference."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(address)


def _run(browser: Chrome, script: str) -> Any:
    return browser.execute_script(script)  # type: ignore[no-untyped-call]


def _outputs(browser: Chrome) -> list[str]:
    script = "return [...document.querySelectorAll('.latency output')].map(o => o.textContent)"
    return list(_run(browser, script))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 800, 1440])
def test_it_draws_every_chart_without_a_complaint_or_sideways_scrolling(
    browser: Chrome, address: str, width: int, dark: bool
) -> None:
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    _open(browser, address, width, dark=dark)
    assert _run(browser, "return document.querySelectorAll('.plot canvas').length") == 15
    assert _run(browser, _BLANK) == 0
    assert _run(browser, "return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_policy_refuses_what_the_page_does_not_bring(browser: Chrome, address: str) -> None:
    _open(browser, address)
    _run(
        browser,
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
        "document.body.append(s);",
    )
    assert _run(browser, "return window.broken") is None


def test_nothing_is_requested_but_the_page_itself(browser: Chrome, address: str) -> None:
    _open(browser, address)
    script = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert _run(browser, script) == []


def test_the_first_screen_shows_verdict_why_latency_and_outcomes(
    browser: Chrome, address: str
) -> None:
    _open(browser, address)
    for part in (".verdict", ".pill", ".topology", ".why", ".latency .plot", ".outcomes .plot"):
        bottoms = _run(
            browser,
            f"return [...document.querySelectorAll('{part}')]"
            ".map(e => e.getBoundingClientRect().bottom)",
        )
        assert bottoms
        assert max(bottoms) <= 900, part


def test_charts_of_one_kind_stand_at_the_same_height(browser: Chrome, address: str) -> None:
    _open(browser, address)
    for kind in ("latency", "outcomes", "in_flight"):
        script = (
            f"return [...document.querySelectorAll('.{kind} .plot')]"
            ".map(e => Math.round(e.getBoundingClientRect().top))"
        )
        assert len(set(_run(browser, script))) == 1


def test_the_theme_follows_the_system_and_the_button(browser: Chrome, address: str) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    _open(browser, address)
    light = _run(browser, ground)
    _open(browser, address, dark=True)
    dark = _run(browser, ground)
    assert light != dark
    _run(browser, "document.getElementById('theme').click()")
    assert _run(browser, ground) == light
    assert _run(browser, "return document.querySelectorAll('.plot canvas').length") == 15


def test_arrow_keys_move_one_crosshair_over_all_charts(browser: Chrome, address: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    _open(browser, address)
    assert set(_outputs(browser)) == {""}
    plot = browser.find_element(By.CSS_SELECTOR, ".plot")
    plot.send_keys("f")
    shown = _outputs(browser)
    assert len(shown) == 9
    assert all(text.endswith(("ms", "s")) for text in shown)
    times = (
        "return [...new Set([...document.querySelectorAll('figcaption small')]"
        ".map(small => small.textContent))]"
    )
    assert _run(browser, times) == ["T+8 s"]
    plot.send_keys(Keys.ARROW_RIGHT)
    assert _run(browser, times) == ["T+9 s"]
    assert _outputs(browser) != shown


def test_without_a_script_verdict_tables_and_words_are_there(browser: Chrome, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        _open(browser, address)
        text = browser.find_element("tag name", "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "✓ As predicted" in text
    assert "p99 at most" in text
    assert "increase(app_session_leaks_total) > 0" in text


def test_it_prints(browser: Chrome, address: str, tmp_path: Path) -> None:
    import base64

    _open(browser, address, dark=True)
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"landscape": True})
    (tmp_path / "report.pdf").write_bytes(base64.b64decode(printed["data"]))
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
