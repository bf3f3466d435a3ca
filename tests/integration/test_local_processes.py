"""Every way of looking at processes and sockets sees the same."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab.engines.local import sockets
from lab.engines.local.processes import (
    LinuxProcesses,
    PortableProcesses,
)
from tests.integration.local_support import (
    LINUX,
    ROOT,
    pid_in,
    within,
)

only_linux = pytest.mark.skipif(not LINUX, reason="other systems have no such call")


@pytest.fixture
def relatives(tmp_path: Path) -> Iterator[list[int]]:
    """A process with a stopped child, in a folder and with a variable of their own."""
    command = ["bash", "-c", "sleep 300 & echo $! > child; wait"]
    environment = {**os.environ, "LAB_TEST": "x=y"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        child = pid_in(tmp_path / "child")
        os.kill(child, signal.SIGSTOP)
        stopped = psutil.STATUS_STOPPED
        assert within(5, lambda: psutil.Process(child).status() == stopped)
        yield [process.pid, child]
        os.kill(child, signal.SIGKILL)


@only_linux
def test_both_ways_of_looking_see_the_same(relatives: list[int], tmp_path: Path) -> None:
    """What is shown of the portable way here holds where it is the only one."""
    first, second = LinuxProcesses(), PortableProcesses()
    for pid in relatives:
        one, two = first.look(pid), second.look(pid)
        assert one
        assert two
        assert (one.parent, one.session, one.status) == (two.parent, two.session, two.status)
        assert one.cpu_s == pytest.approx(two.cpu_s, abs=0.03)
        for table in (first, second):
            assert table.folder(pid) == str(tmp_path)
            assert table.environment(pid)["LAB_TEST"] == "x=y"
            assert table.memory_bytes(pid) > 1000
            assert pid in table.everyone()
    assert first.look(relatives[1]).status == "stopped"  # type: ignore[union-attr]
    for table in (first, second):
        assert table.family()(relatives[0]) == [relatives[1]]
        assert table.look(2**22 + 1) is None
        assert table.environment(2**22 + 1) == {}


PORTABLE = """
import asyncio, os, signal, subprocess, sys
from lab.engines.local.processes import PortableProcesses
from lab.engines.local.tree import Trees
from tests.integration import local_support as test
async def main():
    mark = {'LAB_RUN': sys.argv[2]}
    trees = Trees(mark, adopts=False, table=PortableProcesses())
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, trees.reap)
    environment = {**os.environ, **mark, 'LAB_INSTANCE': 'db-1'}
    argv = [sys.executable, '-c', test.FAMILY, sys.argv[1]]
    child = subprocess.Popen(argv, env=environment, start_new_session=True)
    child.returncode = 0
    tree = trees.plant('db-1', child.pid, os.getcwd())
    pids = [test.pid_in(test.Path(sys.argv[1] + '.' + part)) for part in test.PARTS]
    await trees.freeze(tree, 5)
    assert trees.status(tree) == 'paused'
    await trees.thaw(tree, 5)
    assert trees.status(tree) == 'running'
    assert await trees.kill(tree)
    await tree.ended.wait()
    print(tree.code, [pid for pid in pids if not test.is_gone(pid)], await trees.kill_strays())
asyncio.run(main())
"""


def test_without_proc_and_without_adopting_orphans_a_family_is_killed_all_the_same(
    tmp_path: Path,
) -> None:
    """As on macOS, where a daemon becomes a child of the system's first process."""
    command = [sys.executable, "-c", PORTABLE, str(tmp_path / "pid"), secrets.token_hex(4)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == ""
    assert done.stdout == "-9 [] []\n"


@only_linux
def test_every_way_of_asking_for_sockets_gives_the_same() -> None:
    """From the kernel's protocol, its text and psutil; also of a socket that speaks IPv6."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with (
            socket.create_connection(("127.64.9.8", port)) as plain,
            socket.socket(socket.AF_INET6) as mapped,
        ):
            mapped.connect(("::ffff:127.64.9.8", port))
            inodes = {os.fstat(one.fileno()).st_ino for one in (plain, mapped)}
            asked = [
                {inode for family in (2, 10) for inode, end in sockets._from_kernel(family)
                 if end == ("127.64.9.8", port)},
                {inode for name in ("tcp", "tcp6") for inode, end in sockets._from_text(name)
                 if end == ("127.64.9.8", port)},
            ]  # fmt: skip
            assert asked == [inodes, inodes]
            wanted, owners = {("127.64.9.8", port)}, {os.getpid(): "me"}
            expected = [("me", os.getpid(), "127.64.9.8", port)]
            assert sockets.connections(wanted, owners) == expected
            assert sockets._from_psutil(wanted, owners) == expected
