"""The report in a real browser: it draws, keeps its own policy, and fits a telephone."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from lab import report
from tests.e2e.browser import BLANK, browser, open_page, run_script, violations
from tests.unit import records

__all__ = ["browser"]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    report.write(records.record(), folder)
    return (folder / "report.html").as_uri()


def _outputs(browser: Chrome) -> list[str]:
    script = "return [...document.querySelectorAll('.latency output')].map(o => o.textContent)"
    return list(run_script(browser, script))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 800, 1440])
def test_it_draws_every_chart_without_a_complaint_or_sideways_scrolling(
    browser: Chrome, address: str, width: int, dark: bool
) -> None:
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    open_page(browser, address, width, dark=dark)
    assert run_script(browser, "return document.querySelectorAll('.plot canvas').length") == 15
    assert run_script(browser, BLANK) == 0
    assert run_script(browser, "return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_the_policy_refuses_what_the_page_does_not_bring(browser: Chrome, address: str) -> None:
    open_page(browser, address)
    run_script(
        browser,
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
        "document.body.append(s);",
    )
    assert run_script(browser, "return window.broken") is None


def test_nothing_is_requested_but_the_page_itself(browser: Chrome, address: str) -> None:
    open_page(browser, address)
    script = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert run_script(browser, script) == []


def test_the_first_screen_shows_verdict_why_latency_and_outcomes(
    browser: Chrome, address: str
) -> None:
    open_page(browser, address)
    for part in (".verdict", ".pill", ".topology", ".why", ".latency .plot", ".outcomes .plot"):
        bottoms = run_script(
            browser,
            f"return [...document.querySelectorAll('{part}')]"
            ".map(e => e.getBoundingClientRect().bottom)",
        )
        assert bottoms
        assert max(bottoms) <= 900, part


def test_charts_of_one_kind_stand_at_the_same_height(browser: Chrome, address: str) -> None:
    open_page(browser, address)
    for kind in ("latency", "outcomes", "in_flight"):
        script = (
            f"return [...document.querySelectorAll('.{kind} .plot')]"
            ".map(e => Math.round(e.getBoundingClientRect().top))"
        )
        assert len(set(run_script(browser, script))) == 1


def test_the_theme_follows_the_system_and_the_button(browser: Chrome, address: str) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    open_page(browser, address)
    light = run_script(browser, ground)
    open_page(browser, address, dark=True)
    dark = run_script(browser, ground)
    assert light != dark
    run_script(browser, "document.getElementById('theme').click()")
    assert run_script(browser, ground) == light
    assert run_script(browser, "return document.querySelectorAll('.plot canvas').length") == 15


def test_arrow_keys_move_one_crosshair_over_all_charts(browser: Chrome, address: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    open_page(browser, address)
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
    assert all(text.endswith(" · T+8 s") for text in run_script(browser, times))
    plot.send_keys(Keys.ARROW_RIGHT)
    assert all(text.endswith(" · T+9 s") for text in run_script(browser, times))
    assert _outputs(browser) != shown


def test_without_a_script_verdict_tables_and_words_are_there(browser: Chrome, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page(browser, address)
        text = browser.find_element("tag name", "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "✓ As predicted" in text
    assert "p99 at most" in text
    assert "increase(app_session_leaks_total) > 0" in text


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(browser: Chrome, address: str, width: int, dark: bool) -> None:
    open_page(browser, address, width, dark=dark)
    assert violations(browser) == []


def test_it_prints(browser: Chrome, address: str, tmp_path: Path) -> None:
    import base64

    open_page(browser, address, dark=True)
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"landscape": True})
    (tmp_path / "report.pdf").write_bytes(base64.b64decode(printed["data"]))
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
