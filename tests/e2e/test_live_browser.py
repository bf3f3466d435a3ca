"""The live page in a real browser: a recorded stream, served by the real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lab import store
from lab.messages import FaultChanged, Finished, Guessed, Message, PhaseStarted, Second
from lab.record import Record
from lab.web import PageServer
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
from tests.unit import records, streams

__all__ = ["browser"]

pytestmark = pytest.mark.browser

BARE, DEFAULT, SIZED = records.DESIGNS
OLD = "7f3a00ff"


class Told:
    """A run whose messages a test tells up to a moment, and the page that shows them."""

    def __init__(self, server: PageServer, messages: list[Message]) -> None:
        self.server = server
        self.messages = messages
        self._at = 0

    def until(self, second: int) -> None:
        """Everything before that second's windows."""
        while self._at < len(self.messages):
            message = self.messages[self._at]
            if isinstance(message, Finished) or (
                isinstance(message, Second) and message.window["t"] >= second
            ):
                return
            self._tell()

    def hello(self) -> None:
        """What is said before the load."""
        while not isinstance(self.messages[self._at], PhaseStarted):
            self._tell()

    def rest(self) -> None:
        """All of it."""
        while self._at < len(self.messages):
            self._tell()

    def insert(self, message: Message) -> None:
        """A message that the run itself does not know: somebody's prediction."""
        self.server.emit(message)

    def _tell(self) -> None:
        self.server.emit(self.messages[self._at])
        self._at += 1


@pytest.fixture(scope="module")
def record() -> Record:
    return streams.record()


@pytest.fixture(scope="module")
def runs(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library with the run itself, finished, and another that kept no messages."""
    root = tmp_path_factory.mktemp("runs")
    for of in (record, records.missed(streams.record(run_id=OLD))):
        folder = root / of.experiment.name / f"20260101-000000-{of.run_id}"
        folder.mkdir(parents=True)
        log = store.MessageLog(folder)
        if of.run_id != OLD:
            for message in streams.messages(of):
                log.write(message)
        log.close()
        store.save(of, folder)
    return root


@pytest.fixture
def told(record: Record, runs: Path) -> Iterator[Told]:
    """The live run; what is predicted on the page comes back as the run would tell it."""
    heard: list[PageServer] = []

    def guessed(guess: Guessed) -> None:
        heard[0].emit(guess)

    with PageServer(runs, live=True, guesses=guessed) as server:
        heard.append(server)
        yield Told(server, list(streams.messages(record)))


@pytest.fixture(scope="module")
def library(runs: Path) -> Iterator[str]:
    with PageServer(runs) as server:
        yield server.address


def _clock(browser: Chrome, second: int) -> None:
    """Wait until the page has come to that second, charts as well."""
    wait_for(browser, f"document.querySelector('.clock').textContent.startsWith('T+{second} s')")


def _fits(browser: Chrome, width: int) -> bool:
    return bool(run_script(browser, "return document.documentElement.scrollWidth") <= width)


def test_from_the_first_second_to_the_verdict(browser: Chrome, told: Told) -> None:
    complaints(browser)
    open_page(browser, told.server.address)
    assert "asking the engine" in text_of(browser, "body")
    told.hello()
    wait_for(browser, "document.querySelectorAll('.plot canvas').length == 15")
    assert "9 links answer through their proxies" in text_of(browser, ".verdict")
    told.until(5)
    _clock(browser, 5)
    assert text_of(browser, ".verdict").split("\n") == [
        "All 3 designs are healthy",
        "⚡ latency 200 ms on app -> db in 3 s.",
    ]
    told.until(15)
    _clock(browser, 15)
    assert f"{BARE} and {DEFAULT} are failing since T+8 s" in text_of(browser, ".verdict")
    assert [pill.text for pill in browser.find_elements(By.CSS_SELECTOR, ".pill")][:2] == [
        "✗ failing since T+8 s",
        "✗ failing since T+10 s",
    ]
    assert run_script(browser, BLANK) == 0
    told.until(30)
    _clock(browser, 30)
    assert "Recovered" in text_of(browser, ".verdict")
    told.rest()
    wait_for(browser, "document.body.textContent.includes('As predicted')")
    assert "Second by second" in text_of(browser, "#d0")
    assert complaints(browser) == []


def test_the_first_screen_in_the_fault_says_who_why_and_since_when(
    browser: Chrome, told: Told
) -> None:
    told.until(15)
    open_page(browser, told.server.address)
    _clock(browser, 15)
    for part in (".verdict", ".pill", ".topology", ".why", ".latency .plot", ".outcomes .plot"):
        bottoms = run_script(
            browser,
            f"return [...document.querySelectorAll('{part}')]"
            ".map(e => e.getBoundingClientRect().bottom)",
        )
        assert len(bottoms) >= 1, part
        assert max(bottoms) <= 900, part


def test_a_page_reloaded_in_the_fault_shows_everything(browser: Chrome, told: Told) -> None:
    told.hello()
    open_page(browser, told.server.address)
    told.until(16)
    _clock(browser, 16)
    script = "return JSON.stringify([Lab.debug.newest.run.designs, Lab.debug.newest.slots])"
    before = run_script(browser, script)
    browser.refresh()
    _clock(browser, 16)
    wait_for(browser, "Lab.debug.newest.run")
    assert run_script(browser, script) == before
    told.until(18)
    _clock(browser, 18)
    assert run_script(browser, f"return Lab.debug.newest.run.designs['{BARE}'].p99.length") == 18


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_in_the_fault_it_fits_and_axe_finds_nothing(
    browser: Chrome, told: Told, width: int, dark: bool
) -> None:
    browser.get("about:blank")  # a page whose server is gone goes on asking, and complains
    complaints(browser)
    told.until(15)
    open_page(browser, told.server.address, width, dark=dark)
    _clock(browser, 15)
    assert _fits(browser, width)
    assert violations(browser) == []
    assert complaints(browser) == []


@pytest.mark.parametrize("width", [390, 2560])
def test_finished_it_fits(browser: Chrome, library: str, record: Record, width: int) -> None:
    open_page(browser, f"{library}/runs/{record.run_id}", width)
    wait_for(browser, "document.querySelectorAll('.plot canvas').length == 15")
    assert _fits(browser, width)
    assert violations(browser) == []


def test_a_prediction_is_asked_before_the_fault_and_answered_at_the_end(
    browser: Chrome, told: Told
) -> None:
    told.until(3)
    open_page(browser, told.server.address)
    _clock(browser, 3)
    button = browser.find_element(By.CSS_SELECTOR, f"button[data-design='{BARE}']")
    button.send_keys(Keys.ENTER)
    wait_for(browser, "document.querySelector('[data-guess][aria-pressed=true]')")
    told.until(5)
    _clock(browser, 5)
    assert run_script(browser, "return document.activeElement.id") == "guess-0-breaks"
    told.until(15)
    _clock(browser, 15)
    assert text_of(browser, ".guess").endswith("your guess: it breaks")
    told.rest()
    wait_for(browser, "document.querySelector('.guess').textContent.includes('it broke ✓')")


def test_space_holds_the_view_and_never_the_run(browser: Chrome, told: Told) -> None:
    told.until(12)
    open_page(browser, told.server.address)
    _clock(browser, 12)
    _press(browser, " ")
    wait_for(browser, "document.querySelector('#play').textContent == 'Follow'")
    told.until(14)
    wait_for(browser, "Lab.debug.newest.clock == 14")
    assert text_of(browser, ".clock").startswith(("T+11 s", "T+12 s"))
    _press(browser, Keys.ARROW_LEFT)
    wait_for(browser, "document.querySelector('.clock').textContent.startsWith('T+10 s')")
    _press(browser, " ")
    _clock(browser, 14)


def test_a_finished_run_is_scrubbed_played_and_left_by_keyboard(
    browser: Chrome, library: str, record: Record
) -> None:
    complaints(browser)
    open_page(browser, f"{library}/runs/{record.run_id}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    _press(browser, "f")
    wait_for(browser, "document.querySelector('.clock').textContent.startsWith('T+8 s')")
    assert "failing" not in text_of(browser, ".verdict")
    assert "in force" in text_of(browser, "[data-slot=faults]")
    _press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    wait_for(browser, "document.querySelector('.verdict').textContent.includes('failing')")
    _press(browser, Keys.HOME)
    wait_for(browser, "document.querySelector('.clock').textContent.startsWith('T+0 s')")
    run_script(browser, "document.getElementById('speed').value = '8'")
    _press(browser, " ")
    wait_for(browser, "document.querySelector('.verdict').textContent.includes('are failing')")
    wait_for(browser, "document.querySelector('.verdict').textContent.includes('As predicted')", 20)
    assert text_of(browser, "#play") == "Play"
    assert run_script(browser, BLANK) == 0
    assert complaints(browser) == []


def test_f_goes_on_to_a_fault_that_the_replay_has_not_come_to(
    browser: Chrome, runs: Path, record: Record
) -> None:
    """Two designs with windows of their own of one fault: `key` tells them apart, not the name."""
    bare, default = (
        replace(record.faults[0], design=name, injected_s=at_s, confirmed_s=at_s + 0.2)
        for name, at_s in ((BARE, 8.0), (DEFAULT, 12.3))
    )
    told = [m for m in streams.messages(record) if not hasattr(m, "stage")]
    for fault, second in ((bare, 8), (default, 12)):
        seconds = (i for i, m in enumerate(told) if isinstance(m, Second))
        before = max(i for i in seconds if told[i].window["t"] == second - 1)
        told.insert(before + 1, FaultChanged(replace(fault, healed_s=None, gone_s=None), "bit"))
    told[-1] = Finished(replace(record, faults=(bare, default)))
    with PageServer(runs, live=True) as server:
        Told(server, told).rest()
        open_page(browser, server.address)
        wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
        for second in (8, 12, 8):
            _press(browser, "f")
            wait_for(
                browser, f"document.querySelector('.clock').textContent.startsWith('T+{second} s')"
            )
        rows = text_of(browser, "[data-slot=faults]")
        assert f"{BARE}: latency 200 ms" in rows
        assert f"{DEFAULT}: latency 200 ms" not in rows


def test_a_chart_keeps_its_unit_and_the_scale_of_what_was_planned(
    browser: Chrome, library: str, record: Record
) -> None:
    """60 requests a second and what chance adds; never the burst at the end of a queue."""
    open_page(browser, f"{library}/runs/{record.run_id}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    tops = "return [...new Set([1, 6, 11].map(i => Lab.debug.board.tops[i]))]"
    units = "return [...document.querySelectorAll('#d0 figcaption small')].map(e => e.textContent)"
    assert run_script(browser, tops) == [pytest.approx(60 + 4 * 60**0.5)]
    written = run_script(browser, units)
    assert written[:3] == ["log scale", "by how they came out", "most at once"]
    for second in (5, 24):
        run_script(
            browser,
            f"const e = document.getElementById('scrub'); e.value = {second};"
            "e.dispatchEvent(new Event('input', {bubbles: true}))",
        )
        _clock(browser, second)
        assert run_script(browser, tops) == [pytest.approx(60 + 4 * 60**0.5)]
        assert run_script(browser, units) == written


@pytest.mark.parametrize("width", [390, 1440])
def test_a_crosshair_moves_nothing(
    browser: Chrome, library: str, record: Record, width: int
) -> None:
    open_page(browser, f"{library}/runs/{record.run_id}", width)
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    places = (
        "return [...document.querySelectorAll('.plot')]"
        ".map(e => Math.round(e.getBoundingClientRect().top))"
    )
    before = run_script(browser, places)
    run_script(browser, "Lab.debug.board.moveTo(24)")
    wait_for(browser, "document.querySelector('figcaption small').textContent.includes('T+24 s')")
    assert run_script(browser, places) == before
    assert _fits(browser, width)


def test_on_a_phone_every_design_is_told_before_the_first_card(browser: Chrome, told: Told) -> None:
    told.until(15)
    open_page(browser, told.server.address, 390)
    _clock(browser, 15)
    lines = [
        " ".join(item.text.split()) for item in browser.find_elements(By.CSS_SELECTOR, ".states li")
    ]
    assert lines[:2] == [f"{BARE} ✗ failing since T+8 s", f"{DEFAULT} ✗ failing since T+10 s"]
    assert lines[2].startswith(f"{SIZED} ✓ holding")
    assert text_of(browser, ".clock").replace("\n", " ") == "T+15 s fault"
    assert (
        run_script(
            browser, "return document.querySelector('.states').getBoundingClientRect().bottom"
        )
        < 844
    )
    open_page(browser, told.server.address, 1440)
    _clock(browser, 15)
    assert not browser.find_element(By.CSS_SELECTOR, ".states").is_displayed()


def test_badges_stand_alike_and_charts_line_up(browser: Chrome, told: Told) -> None:
    told.until(15)
    open_page(browser, told.server.address)
    _clock(browser, 15)
    for part in (".name h2", ".pill", ".latency .plot", ".outcomes .plot"):
        tops = run_script(
            browser,
            f"return [...new Set([...document.querySelectorAll('{part}')]"
            ".map(e => Math.round(e.getBoundingClientRect().top)))]",
        )
        assert len(tops) == 1, (part, tops)


def test_a_number_shows_one_design_alone(browser: Chrome, library: str, record: Record) -> None:
    open_page(browser, f"{library}/runs/{record.run_id}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    _press(browser, "2")
    shown = [card.is_displayed() for card in browser.find_elements(By.CSS_SELECTOR, ".design")]
    assert shown == [False, True, False]
    _press(browser, "2")
    assert all(card.is_displayed() for card in browser.find_elements(By.CSS_SELECTOR, ".design"))


def test_help_opens_closes_and_gives_the_focus_back(
    browser: Chrome, library: str, record: Record
) -> None:
    open_page(browser, f"{library}/runs/{record.run_id}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    browser.find_element(By.ID, "ask").send_keys(Keys.ENTER)
    wait_for(browser, "document.getElementById('help').open")
    assert violations(browser) == []
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait_for(browser, "!document.getElementById('help').open")
    assert run_script(browser, "return document.activeElement.id") == "ask"


def test_everything_is_reached_by_tab_with_a_visible_focus(
    browser: Chrome, library: str, record: Record
) -> None:
    open_page(browser, f"{library}/runs/{record.run_id}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    seen = []
    for _ in range(14):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(
            run_script(
                browser,
                "const e = document.activeElement, s = getComputedStyle(e),"
                " t = getComputedStyle(e.closest('.track') ?? e);"
                "return [e.id || e.className || e.tagName,"
                " s.outlineStyle != 'none' || t.outlineStyle != 'none']",
            )
        )
    names = [name for name, _ in seen]
    for wanted in ("play", "speed", "export", "theme", "ask", "scrub", "plot"):
        assert wanted in names, names
    assert all(visible for _, visible in seen), seen


def test_the_library_filters_opens_and_compares(
    browser: Chrome, library: str, record: Record
) -> None:
    complaints(browser)
    open_page(browser, f"{library}/runs", 1440)
    assert violations(browser) == []
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys(OLD)
    assert text_of(browser, "[role=status]") == "1 of 2 runs"
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert [row.is_displayed() for row in rows].count(True) == 1
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").clear()
    one_line = (
        "return [...document.querySelectorAll('#pair th a, #pair time')]"
        ".filter(e => e.offsetParent).map(e => e.getClientRects().length)"
    )
    assert set(run_script(browser, one_line)) == {1}
    open_page(browser, f"{library}/runs", 390)
    assert _fits(browser, 390)
    assert set(run_script(browser, one_line)) == {1}
    rights = "[...document.querySelectorAll('#pair td')].map(e => e.getBoundingClientRect().right)"
    assert max(run_script(browser, f"return {rights}")) <= 390
    assert violations(browser) == []
    for side, run in (("a", record.run_id), ("b", OLD)):
        browser.find_element(By.CSS_SELECTOR, f"input[name={side}][value='{run}']").click()
    browser.find_element(By.CSS_SELECTOR, ".compare button").click()
    wait_for(browser, "document.querySelectorAll('.plot canvas').length == 30")
    assert _fits(browser, 390)
    open_page(browser, browser.current_url, 1440)
    wait_for(browser, "document.querySelectorAll('.plot canvas').length == 30")
    assert run_script(browser, BLANK) == 0
    assert violations(browser) == []
    browser.find_element(By.CSS_SELECTOR, ".plot").send_keys("f")
    times = (
        "return [...new Set([...document.querySelectorAll('figcaption small')]"
        ".map(small => small.textContent))]"
    )
    assert all(text.endswith(" · T+8 s") for text in run_script(browser, times))
    assert "log scale · T+8 s" in run_script(browser, times)
    assert complaints(browser) == []


def test_a_rebuilt_run_opens_and_says_what_is_missing(browser: Chrome, library: str) -> None:
    open_page(browser, f"{library}/runs/{OLD}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    assert "recorded before runs kept their messages" in text_of(browser, "header")
    _press(browser, "f")
    wait_for(browser, "document.querySelector('.clock').textContent.startsWith('T+8 s')")


def test_the_report_can_be_saved(
    browser: Chrome, library: str, record: Record, tmp_path: Path
) -> None:
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {**behaviour, "eventsEnabled": True})
    open_page(browser, f"{library}/runs/{record.run_id}")
    wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    _press(browser, "e")
    saved = tmp_path / f"{record.experiment.name}-{record.run_id}.html"
    for _ in range(100):
        if saved.exists():
            break
        wait_for(browser, "new Promise(done => setTimeout(() => done(true), 50))")
    assert re.search(r"✓ As predicted", saved.read_text(encoding="utf-8"))


def test_when_the_server_is_gone_the_page_keeps_what_it_has(
    browser: Chrome, runs: Path, record: Record
) -> None:
    with PageServer(runs, live=True) as server:
        Told(server, list(streams.messages(record))).rest()
        open_page(browser, server.address)
        wait_for(browser, "Lab.debug && Lab.debug.newest.finished")
    _press(browser, "f")
    wait_for(browser, "document.getElementById('stale').textContent.includes('lab view')")
    assert "As predicted" in text_of(browser, ".verdict")
    assert run_script(browser, BLANK) == 0


def _press(browser: Chrome, *keys: str) -> None:
    browser.find_element(By.TAG_NAME, "body").send_keys(*keys)
