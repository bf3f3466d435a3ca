"""A supervisor starts, stops, counts and kills whole families of processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from lab.engines.local.leftovers import clean, leftovers
from lab.engines.local.program import Program
from lab.engines.local.supervised import Supervisor
from lab.errors import EngineError
from tests.integration.local_support import (
    LINUX,
    PARTS,
    family,
    is_gone,
    open_to_all,
    pid_in,
    program,
    said_in,
    shell,
    supervised,
    within,
)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

CIRCUMSTANCES = """
import os, resource, signal, sys
limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
usual = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
leads = os.getsid(0) == os.getpid()
print(leads, sys.stdin.read(), limit, os.environ['LAB_INSTANCE'], usual, flush=True)
signal.pause()
"""


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    """One of the test's own; whatever the test does, nothing stays."""
    async with supervised(tmp_path / "supervisor.log") as found:
        yield found


@pytest.fixture
def home(supervisor: Supervisor) -> Path:
    """A place for an instance."""
    found = supervisor.folder / "db-1"
    found.mkdir()
    return found


async def test_kill_takes_the_whole_family(supervisor: Supervisor, home: Path) -> None:
    """Sessions of their own and daemons do not save anybody; the CPU time of all is told."""
    pids = await family(supervisor, home)
    used_s = sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids.values())
    began_s = time.perf_counter()
    cpu_s = await supervisor.kill("db-1")
    took_s = time.perf_counter() - began_s
    assert [part for part, pid in pids.items() if psutil.pid_exists(pid)] == []
    assert cpu_s >= used_s - 0.05  # what psutil sees is in ticks of 10 ms, one per process
    assert took_s < 0.5
    assert (await supervisor.state("db-1")).exit_code == -signal.SIGKILL
    assert await supervisor.kill("db-1") == cpu_s  # nothing happens twice


async def test_pause_stops_every_process_and_resume_lets_all_go_on(
    supervisor: Supervisor, home: Path
) -> None:
    """Shown by what they do: each counts, and a paused one does not."""
    pids = await family(supervisor, home)

    def counts() -> list[int]:
        return [int((home / f"pid.{part}.count").read_text() or 0) for part in PARTS]

    await supervisor.pause("db-1")
    assert {psutil.Process(pid).status() for pid in pids.values()} == {psutil.STATUS_STOPPED}
    assert (await supervisor.state("db-1")).status == "paused"
    before = counts()
    await asyncio.sleep(0.3)
    assert counts() == before
    psutil.Process(pids["daemon"]).resume()  # one process at work is enough not to be paused
    assert (await supervisor.state("db-1")).status == "running"
    await supervisor.pause("db-1")
    await supervisor.resume("db-1")
    assert (await supervisor.state("db-1")).status == "running"
    assert within(5, lambda: all(now > then for now, then in zip(counts(), before, strict=True)))
    await supervisor.pause("db-1")
    await supervisor.kill("db-1")  # also while it is paused
    assert all(not psutil.pid_exists(pid) for pid in pids.values())


async def test_a_program_that_forks_all_the_time_is_paused_and_killed(
    supervisor: Supervisor, home: Path
) -> None:
    """There is always a process that the last look did not see."""
    forking = "while :; do (echo x >> ticks; sleep 0.02) & sleep 0.001; done"
    await supervisor.launch("db-1", shell(home, forking), home / "log")
    ticks = home / "ticks"
    assert within(5, lambda: ticks.exists() and ticks.stat().st_size > 20)
    await supervisor.pause("db-1")
    size = ticks.stat().st_size
    await asyncio.sleep(0.2)
    assert ticks.stat().st_size == size
    await supervisor.resume("db-1")
    assert within(5, lambda: ticks.stat().st_size > size)
    await supervisor.kill("db-1")
    size = ticks.stat().st_size
    await asyncio.sleep(0.1)
    assert ticks.stat().st_size == size


async def test_what_hides_its_origin_is_found_by_where_it_works(
    supervisor: Supervisor, home: Path
) -> None:
    """A daemon with an empty environment in another session, never seen before it was one."""
    hiding = "(env -i setsid bash -c 'echo $$ > hidden; exec sleep 300' &) ; exec sleep 300"
    await supervisor.launch("db-1", shell(home, hiding), home / "log")
    hidden = pid_in(home / "hidden")
    await supervisor.kill("db-1")
    if LINUX:
        assert not psutil.pid_exists(hidden)


async def test_an_instance_that_ends_is_told_and_takes_its_family_along(
    supervisor: Supervisor, home: Path
) -> None:
    """As the end of a container's first process does."""
    leaving = "setsid sleep 300 & echo $! > child; exit 7"
    pid = await supervisor.launch("db-1", shell(home, leaving), home / "log")
    ended = await anext(supervisor.events())
    assert (ended.name, ended.pid, ended.code, ended.asked) == ("db-1", pid, 7, False)
    state = await supervisor.state("db-1")
    assert (state.status, state.exit_code) == ("exited", 7)
    assert within(5, lambda: is_gone(pid_in(home / "child")))
    assert (await supervisor.state("db-2")).status == "missing"
    with pytest.raises(EngineError, match="does not run: it ended with code 7"):
        await supervisor.pause("db-1")


async def test_a_restart_removes_stale_files_and_counts_both_lives(
    supervisor: Supervisor, home: Path
) -> None:
    """Usage never goes down, and the commands of an instance are counted as its own."""
    stale = home / "postmaster.pid"
    busy = "test -e postmaster.pid && exit 9; echo 1 > postmaster.pid; while :; do :; done"
    starting = program(home, "bash", "-c", busy, before=(stale,))
    for _ in range(2):
        await supervisor.launch("db-1", starting, home / "log")
        assert within(5, stale.exists)
        await asyncio.sleep(0.2)
        spent_s = (await supervisor.usage())["db-1"].cpu_s
        life_s = await supervisor.kill("db-1")
        assert life_s > 0.02
    used = (await supervisor.usage())["db-1"]
    assert used.cpu_s >= spent_s > life_s
    assert used.memory_bytes == 0 < used.memory_peak_bytes
    await supervisor.run(shell(home, "for i in {1..100000}; do :; done"), 10, "db-1")
    assert (await supervisor.usage())["db-1"].cpu_s > used.cpu_s + 0.01
    code = (await anext(supervisor.events())).code
    assert code == -signal.SIGKILL


async def test_commands_run_side_by_side_and_end_in_time(
    supervisor: Supervisor, home: Path
) -> None:
    """None waits for another, nor for what it left behind; a late one is killed whole."""
    began_s = time.monotonic()
    late = supervisor.run(shell(home, "echo begun; sleep 300 & echo $! > late; wait"), 0.5, "db-1")
    quick = [
        supervisor.run(shell(home, f"sleep 0.3; echo {number}; exit {number}"), 5)
        for number in range(4)
    ]
    leaving = supervisor.run(shell(home, "sleep 300 & echo $! > left; echo done"), 5)
    *found, last, killed = await asyncio.gather(*quick, leaving, late)
    assert time.monotonic() - began_s < 1.5
    assert [(one.code, one.output) for one in found] == [(n, f"{n}\n") for n in range(4)]
    assert (last.code, last.output) == (0, "done\n")
    assert killed.code == -signal.SIGKILL
    assert "begun" in killed.output
    assert "longer than 0.5 s" in killed.output
    assert is_gone(pid_in(home / "late"))
    assert is_gone(pid_in(home / "left"))


async def test_a_command_that_says_a_lot_does_not_stall(supervisor: Supervisor, home: Path) -> None:
    """More than a pipe holds; the end of it is what helps."""
    found = await supervisor.run(
        shell(home, "head -c 3000000 /dev/zero | tr '\\0' x; echo end"), 10
    )
    assert found.code == 0
    assert found.output.endswith("xend\n")
    assert len(found.output) == 2**20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"argv": ("/no/such/program",)}, "did not start: /no/such/program"),
        ({"cwd": Path("/no/such/folder")}, "there is no folder /no/such/folder"),
        ({"nofile": 2**40}, "open files wanted"),
    ],
)
async def test_what_cannot_start_says_why(
    supervisor: Supervisor, home: Path, change: dict[str, object], words: str
) -> None:
    fields = {"argv": ("sleep", "300"), "env": {"PATH": os.environ["PATH"]}, "cwd": home, **change}
    with pytest.raises(EngineError, match=words):
        await supervisor.launch("db-1", Program(**fields), home / "log")  # type: ignore[arg-type]
    assert (await supervisor.state("db-1")).status == "missing"
    with pytest.raises(EngineError, match="never started"):
        await supervisor.kill("db-1")


async def test_a_program_starts_fresh(supervisor: Supervisor, home: Path) -> None:
    """Its own session, no input, its log appended to, signals as usual, limits as asked."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(supervisor.pid, number)  # it is to outlive what the terminal sends
    (home / "log").write_text("before\n")
    argv = (sys.executable, "-c", CIRCUMSTANCES)
    await supervisor.launch("db-1", program(home, *argv, nofile=123), home / "log")
    expected = "before\nTrue  123 db-1 True\n"
    assert within(5, lambda: (home / "log").read_text() == expected), (home / "log").read_text()
    with pytest.raises(EngineError, match="already runs"):
        await supervisor.launch("db-1", program(home, *argv), home / "log")


@only_root
async def test_a_program_may_run_as_nobody(supervisor: Supervisor, home: Path) -> None:
    """PostgreSQL refuses root; it is still paused, counted and killed, and dies with its parent."""
    open_to_all(home)
    asked = "id -u; id -g; id -G; touch mine; exec sleep 300"
    nobody = program(home, "bash", "-c", asked, uid=65534, gid=65534)
    pid = await supervisor.launch("db-1", nobody, home / "log")
    assert within(5, lambda: said_in(home / "log") == ["65534"] * 3)
    await supervisor.pause("db-1")
    assert (await supervisor.state("db-1")).status == "paused"
    assert (await supervisor.usage())["db-1"].memory_bytes > 0
    await supervisor.resume("db-1")
    if LINUX:
        os.kill(supervisor.pid, signal.SIGKILL)
        assert within(2, lambda: is_gone(pid))
        for left in leftovers(supervisor.folder.name):
            assert clean(left) == []


async def test_a_connection_past_the_proxy_is_seen(supervisor: Supervisor, home: Path) -> None:
    """With the instance that made it; neither the server's side nor other addresses count."""
    host = "127.64.9.9" if LINUX else "127.0.0.1"
    with socket.create_server((host, 0)) as server, socket.create_server((host, 0)) as other:
        ports = [listener.getsockname()[1] for listener in (server, other)]
        dial = "import socket, sys, time\n"
        dial += "c = [socket.create_connection((sys.argv[1], int(p))) for p in sys.argv[2:]]\n"
        dial += "time.sleep(300)"
        argv = (sys.executable, "-c", dial, host, *map(str, ports))
        forked = program(home, "bash", "-c", '"$@" & wait', "bash", *argv)
        await supervisor.launch("app-1", forked, home / "log")
        accepted = [listener.accept()[0] for listener in (server, other)]
        ends = [(host, ports[0])]
        (found,) = await supervisor.sockets(ends)
        assert (found.name, found.host, found.port) == ("app-1", host, ports[0])
        with socket.create_connection((host, ports[0])):
            both = await supervisor.sockets(ends, also={"driver": os.getpid()})
        assert {(one.name, one.pid) for one in both} == {
            ("app-1", found.pid),
            ("driver", os.getpid()),
        }
        await supervisor.kill("app-1")
        assert await supervisor.sockets(ends) == []
        for one in accepted:
            one.close()


async def test_stop_removes_everything_and_says_so(supervisor: Supervisor, home: Path) -> None:
    """Also what may not be written to, and a command that is still running."""
    pids = await family(supervisor, home)
    (home / "sealed").mkdir()
    (home / "sealed" / "file").write_text("x")
    (home / "sealed").chmod(0o500)
    command = asyncio.create_task(supervisor.run(shell(home, "echo $$ > run; sleep 300"), 60))
    running = await asyncio.to_thread(pid_in, home / "run")
    assert await supervisor.stop() == []
    assert (await command).code == -signal.SIGKILL
    assert not supervisor.folder.exists()
    assert all(not psutil.pid_exists(pid) for pid in (*pids.values(), running, supervisor.pid)[:-1])
    events = [event async for event in supervisor.events()]
    assert [(event.name, event.asked) for event in events] == [("db-1", True)]
