"""A headless Chromium for tests: windows of any size, both themes, and what it complains about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars",
)  # fmt: skip

BLANK = """
return [...document.querySelectorAll('.plot canvas')].filter(canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return !pixels.some(value => value !== 0);
}).length"""
"""How many charts have not a single pixel drawn."""

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
"""axe-core 4.14.1 (MPL-2.0, licence beside it): rules of accessibility, run in the page."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A headless Chromium with its driver."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
    )
    yield chrome
    chrome.quit()


def open_page(
    browser: Chrome, address: str, width: int = 1440, height: int = 900, *, dark: bool = False
) -> None:
    """Load the page afresh in a window of that size, with that preference."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(address)


def run_script(browser: Chrome, script: str) -> Any:
    return browser.execute_script(script)  # type: ignore[no-untyped-call]


def text_of(browser: Chrome, selector: str) -> str:
    """What the first such element says, read at once: a live page replaces its elements."""
    text = run_script(browser, f"return document.querySelector(`{selector}`).innerText")
    return str(text).replace("\u00a0", " ")


def complaints(browser: Chrome) -> list[dict[str, Any]]:
    """Everything on the browser's console since the last time."""
    return list(browser.get_log("browser"))  # type: ignore[no-untyped-call]


def wait_for(browser: Chrome, script: str, seconds: float = 10) -> Any:
    """The value of a script once it is true."""
    return WebDriverWait(browser, seconds, poll_frequency=0.05).until(
        lambda _: run_script(browser, f"return {script}"), f"never true: {script}"
    )


def violations(browser: Chrome) -> list[str]:
    """What axe-core finds wrong with the page as it is, with the places."""
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    found = browser.execute_async_script(  # type: ignore[no-untyped-call]
        "const done = arguments[arguments.length - 1];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations));"
    )
    return [f"{v['id']}: {[n['target'] for n in v['nodes']]} {v['help']}" for v in found]
