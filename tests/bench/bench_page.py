"""What the live page costs: loading, one frame, and memory over half an hour.

    python -m tests.bench.bench_page           about 40 s, needs Chromium and its driver

A simulated run of three designs and 30 minutes is told to the real server a minute at a time, as
fast as the page takes it; the browser is a headless Chromium without a graphics card. The lag from
message to paint during a real run is measured by `tests/e2e/test_live_run.py`.
"""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psutil
from selenium import webdriver
from selenium.webdriver import Chrome

from lab.messages import Carried, FaultChanged, Hello, Message, PhaseStarted, Sampled, Second
from lab.plan import deploy
from lab.web import PageServer, Recording
from lab.web.frames import frame, view
from tests.e2e.browser import FLAGS, run_script, wait_for
from tests.unit import records, streams

MINUTES = 30
RATE_PER_S = 500


def stream(minutes: int) -> Iterator[Message]:
    """A run that long: the middle third is broken, one design's queue grows in it."""
    random = Random(5)
    base = streams.record()
    third_s = minutes * 20.0
    phases = tuple(
        phase.model_copy(update={"start_s": third_s * i, "end_s": third_s * (i + 1)})
        for i, phase in enumerate(base.experiment.phases)
    )
    (scheduled,) = base.experiment.faults
    at = {"at_s": third_s, "for_s": third_s}
    what = base.experiment.model_copy(
        update={"phases": phases, "faults": (scheduled.model_copy(update=at),)}
    )
    yield Hello(what, deploy(what), "docker", "simulated", base.run_id, base.seed)
    for second in range(minutes * 60):
        yield from (PhaseStarted(p.name, p.start_s) for p in phases if p.start_s == second)
        broken = third_s <= second < 2 * third_s
        if second == third_s:
            yield FaultChanged(records.fault(what), "bit")
        yield Carried(second + 0.4, {end.name: 90_000 * second for end in deploy(what).ends})
        yield Sampled(second + 0.5, {n: (random.random(), 3.0 * second) for n in what.designs})
        yield from (Second(n, _window(random, second, broken)) for n in what.designs)


def _window(random: Random, second: int, broken: bool) -> dict[str, Any]:
    p50 = random.lognormvariate(-1.0 if broken else -4.5, 0.2)
    fail = random.randrange(60) if broken else 0
    counts = {"due": RATE_PER_S, "ok": RATE_PER_S - fail, "fail": fail, "info": 0}
    latency = {"p50": p50, "p95": 1.5 * p50, "p99": 2.5 * p50}
    return {"t": second, **counts, **latency, "in_flight": int(RATE_PER_S * p50), "attempts": 500}


def chromium(folder: str) -> Chrome:
    """A browser whose memory can be read."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    return Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def heap_mib(browser: Chrome) -> float:
    """JavaScript's memory after a collection."""
    browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return float(browser.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]) / 2**20


def frames() -> None:
    """What the server spends on one second of three designs, early and late in a long run."""
    recording = Recording()
    told = list(stream(MINUTES))
    for minute in (1, MINUTES):
        last = max(i for i, m in enumerate(told) if _second(m) < minute * 60 - 10)
        recording.messages[:] = told
        old, spent = view(recording, last), []
        for count in range(last + 5, last + 50, 5):
            begun_s = time.perf_counter()
            new = view(recording, count)
            frame(recording, old, new)
            spent.append(time.perf_counter() - begun_s)
            old = new
        took_ms = statistics.median(spent) * 1000
        print(f"one frame in minute {minute:2}: {took_ms:.1f} ms of the server")


def _second(message: Message) -> float:
    return message.window["t"] if isinstance(message, Second) else math.inf


def page(browser: Chrome) -> None:
    """Memory while half an hour goes by, and loading the page at its end."""
    own = psutil.Process()
    with tempfile.TemporaryDirectory() as runs, PageServer(Path(runs), live=True) as server:
        told = stream(MINUTES)
        server.emit(next(told))
        browser.get(f"{server.address}/")
        wait_for(browser, "typeof Lab !== 'undefined' && Lab.debug?.newest.run")
        for message in told:
            server.emit(message)
            if isinstance(message, Second) and message.design == records.DESIGNS[-1]:
                second = int(message.window["t"]) + 1
                if second % 60 == 0:
                    wait_for(browser, f"Lab.debug.newest.clock >= {second}", 60)
                if second % 300 == 0:
                    print(
                        f"minute {second // 60:2}: page {heap_mib(browser):.1f} MiB of JavaScript, "
                        f"server and load {own.memory_info().rss / 2**20:.0f} MiB"
                    )
        loads = []
        for _ in range(5):
            begun_s = time.perf_counter()
            browser.get(browser.current_url)
            wait_for(browser, "typeof Lab !== 'undefined' && Lab.debug?.newest.run")
            timing = run_script(
                browser, "return performance.getEntriesByType('navigation')[0].loadEventEnd"
            )
            loads.append((timing / 1000, time.perf_counter() - begun_s))
        for what, seconds in zip(("loaded", "charts drawn"), zip(*loads, strict=True), strict=True):
            print(f"half an hour's page {what}: {statistics.median(seconds):.2f} s")


def main() -> None:
    """Measure and print."""
    frames()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = chromium(folder)
        try:
            page(browser)
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
