"""Bringing up on every engine: order, readiness, restarts, and what a failure says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lab.errors import EngineError, NotReadyError
from lab.topology import Healthcheck
from tests.contract import tiny
from tests.contract.engines import MODES, up


@pytest.fixture(params=MODES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return str(request.param)


async def test_an_instance_that_never_gets_healthy_is_named_with_check_and_log(
    engine: str, tmp_path: Path
) -> None:
    """The message carries what the check says and the last lines of the log."""
    sick = tiny.server(
        "store", healthcheck=Healthcheck(("CMD-SHELL", "echo no luck; exit 3"), 0.1, 1, 2)
    )
    with pytest.raises(NotReadyError) as caught:
        async with up(engine, tiny.deployment(store=sick), tmp_path, patience_s=4.0):
            pass
    text = str(caught.value)
    assert "tiny/store-1" in text
    assert "exit code 3): no luck" in text
    assert "listening" in text
    assert "listening" in (tmp_path / "logs" / "tiny-store-1.log").read_text()


async def test_an_instance_that_ends_while_starting_is_told_at_once(
    engine: str, tmp_path: Path
) -> None:
    """Not after the time that a healthy one may take."""
    broken = tiny.server("store", command=("python", "-c", "print('cannot'); raise SystemExit(7)"))
    began_s = time.monotonic()
    with pytest.raises(
        NotReadyError, match=r"tiny/store-1 .* exit code 7 while starting"
    ) as caught:
        async with up(engine, tiny.deployment(store=broken), tmp_path, patience_s=120.0):
            pass
    assert time.monotonic() - began_s < 60
    assert "cannot" in str(caught.value)


async def test_a_command_that_cannot_be_run_is_a_clear_error(engine: str, tmp_path: Path) -> None:
    """It names the service and the command."""
    broken = tiny.server("store", command=("no-such-program",))
    with pytest.raises(EngineError, match=r"store.*no-such-program"):
        async with up(engine, tiny.deployment(store=broken), tmp_path):
            pass


async def test_services_that_wait_for_each_other_are_refused(engine: str, tmp_path: Path) -> None:
    """Instead of waiting for ever."""
    store = tiny.server("store", depends_on={"cache": "service_started"})
    cache = tiny.server("cache", depends_on={"store": "service_started"})
    with pytest.raises(EngineError, match="depend on each other in a circle"):
        async with up(engine, tiny.deployment(store=store, cache=cache), tmp_path):
            pass


async def test_a_service_with_a_restart_policy_comes_back_and_its_link_too(
    engine: str, tmp_path: Path
) -> None:
    """It is started again; the proxy accepts again once it listens."""
    async with up(
        engine, tiny.deployment(store=tiny.server("store", restart="always")), tmp_path
    ) as lab:
        deaths = lab.cluster.deaths()
        await lab.end_by_itself(lab.store)
        assert await asyncio.wait_for(anext(deaths), 10) == (lab.store.name, "exit code 5")
        async with asyncio.timeout(20):
            while "error" in await lab.ask("/new/store"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            while await lab.cluster.residue():  # noqa: ASYNC110 - its proxy accepts a moment later
                await asyncio.sleep(0.05)


async def test_the_driver_answers_and_its_clock_is_known(engine: str, tmp_path: Path) -> None:
    """On one machine both clocks are the same, so the offset must be within its uncertainty."""
    async with up(engine, tiny.deployment(), tmp_path, drivers=True) as lab:
        driver = await lab.cluster.driver("tiny")
        assert abs(driver.clock_offset_s) <= driver.clock_uncertainty_s + 1e-4
        assert driver.clock_uncertainty_s < 0.05
        await driver.send({"do": "ping", "n": 99})
        assert (await anext(driver.messages()))["n"] == 99
        usage = await lab.cluster.usage()
        assert usage["lab/driver/tiny"].cpu_s > 0
