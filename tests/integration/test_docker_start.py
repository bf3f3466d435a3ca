"""Bringing up and taking down: order, readiness, what goes into a container, what stays behind."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from lab.errors import EngineError, NotReadyError
from lab.topology import File, Healthcheck
from tests.integration import tiny
from tests.integration.docker_support import left_of, up

pytestmark = pytest.mark.docker


async def test_an_instance_that_never_gets_healthy_is_named_with_check_and_log(
    tmp_path: Path,
) -> None:
    """The message carries what the check says and the last lines of the log."""
    sick = tiny.server(
        "store", healthcheck=Healthcheck(("CMD-SHELL", "echo no luck; exit 3"), 0.1, 1, 2)
    )
    with pytest.raises(NotReadyError) as caught:
        async with up(tiny.deployment(store=sick), tmp_path, patience_s=4.0):
            pass
    text = str(caught.value)
    assert "tiny/store-1" in text
    assert "exit code 3): no luck" in text
    assert "listening" in text
    assert "listening" in (tmp_path / "logs" / "tiny-store-1.log").read_text()


async def test_an_instance_that_ends_while_starting_is_told_at_once(tmp_path: Path) -> None:
    """Not after the time that a healthy one may take."""
    broken = tiny.server("store", command=("python", "-c", "print('cannot'); raise SystemExit(7)"))
    began_s = time.monotonic()
    with pytest.raises(
        NotReadyError, match=r"tiny/store-1 .* exit code 7 while starting"
    ) as caught:
        async with up(tiny.deployment(store=broken), tmp_path, patience_s=120.0):
            pass
    assert time.monotonic() - began_s < 60
    assert "cannot" in str(caught.value)


async def test_a_command_that_cannot_be_run_is_a_clear_error(tmp_path: Path) -> None:
    """Docker's own words, with the name of the instance."""
    broken = tiny.server("store", command=("no-such-program",))
    with pytest.raises(EngineError, match=r"tiny/store-1 did not start: .*no-such-program"):
        async with up(tiny.deployment(store=broken), tmp_path):
            pass


async def test_services_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    """Instead of waiting for ever."""
    store = tiny.server("store", depends_on={"cache": "service_started"})
    cache = tiny.server("cache", depends_on={"store": "service_started"})
    with pytest.raises(EngineError, match="depend on each other in a circle"):
        async with up(tiny.deployment(store=store, cache=cache), tmp_path):
            pass


async def test_files_volumes_and_order(tmp_path: Path) -> None:
    """A job is waited for, files can be read, a volume outlives a kill; then all is gone."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "name.txt").write_text("from a file")
    read = (
        "import os; os.environ['NAME'] = open('/etc/conf/name.txt').read()"
        " + (open('/data/x').read() if os.path.exists('/data/x') else '');"
        "open('/data/x', 'w').write(' again')\n"
    )
    job = tiny.server("job", command=("python", "-c", "print('work done')"))
    store = tiny.server(
        "store",
        command=("python", "-c", read + tiny.SERVER),
        files=(File(tmp_path / "conf", "/etc/conf"),),
        volumes=("data:/data",),
        tmpfs=("/scratch:size=1m",),
        depends_on={"job": "service_completed_successfully"},
        init=True,
    )
    async with up(tiny.deployment(store=store, job=job), tmp_path) as lab:
        assert (await lab.ask("/new/store"))["text"] == "from a file"
        await lab.cluster.kill(lab.store)
        await lab.cluster.start(lab.store)
        assert (await lab.ask("/new/store"))["text"] == "from a file again"
        assert await lab.cluster.residue() == []  # the job has ended, as it should
        run_id = lab.cluster.layout.run_id
        # app, store, cache, other, job, proxy, agent, Prometheus; the network; the volume
        assert len(left_of(run_id)) == 10
    assert left_of(run_id) == []
    logs = {path.name for path in (tmp_path / "logs").iterdir()}
    assert {"tiny-app-1.log", "tiny-job-1.log", "lab-toxiproxy.log", "lab-prometheus.log"} <= logs
    assert "work done" in (tmp_path / "logs" / "tiny-job-1.log").read_text()


async def test_a_service_with_a_restart_policy_comes_back_and_its_link_too(tmp_path: Path) -> None:
    """Docker starts it again; the proxy accepts again once it listens."""
    async with up(tiny.deployment(store=tiny.server("store", restart="always")), tmp_path) as lab:
        deaths = lab.cluster.deaths()
        with pytest.raises(EngineError, match="GET /die"):
            await lab.straight(lab.store, "/die")
        assert await asyncio.wait_for(anext(deaths), 10) == (lab.store.name, "exit code 5")
        async with asyncio.timeout(20):
            while "error" in await lab.ask("/new/store"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await asyncio.gather(*lab.cluster._following)
        assert await lab.cluster.residue() == []


async def test_the_driver_answers_and_its_clock_is_known(tmp_path: Path) -> None:
    """On one machine both clocks are the same, so the offset must be within its uncertainty."""
    async with up(tiny.deployment(), tmp_path, drivers=True) as lab:
        driver = await lab.cluster.driver("tiny")
        assert abs(driver.clock_offset_s) <= driver.clock_uncertainty_s + 1e-4
        assert driver.clock_uncertainty_s < 0.05
        await driver.send({"do": "ping", "n": 99})
        assert (await anext(driver.messages()))["n"] == 99
        usage = await lab.cluster.usage()
        assert usage["lab/driver/tiny"].cpu_s > 0
