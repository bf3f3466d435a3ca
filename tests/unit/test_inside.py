"""The helper beside the services, on this process, its children and made-up files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engines.inside import mounts, throttle
from lab.engines.inside.ballast import room
from lab.engines.inside.files import FileLimit, limited
from lab.engines.inside.groups import Group, InsideError, group_of
from lab.engines.inside.holder import Holder
from lab.engines.inside.mounts import Mount, mount_of, resolved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

MOUNTINFO = r"""
121 73 0:50 / / rw,relatime master:3 - overlay overlay rw,lowerdir=/l
138 121 0:59 / /data rw,nosuid - tmpfs tmpfs rw,size=65536k
139 121 0:60 / /scratch rw,nosuid - tmpfs tmpfs rw
140 121 254:0 /x/hostname /etc/hostname rw - ext4 /dev/vda rw
141 121 254:1 /a\040b /data/with\040space rw - ext4 /dev/vdb rw
142 121 0:61 / /data rw - tmpfs tmpfs rw,size=8k
"""


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process sees these mounts."""
    monkeypatch.setattr(mounts.Path, "read_text", lambda _: MOUNTINFO.strip())


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("path", "device", "sized"),
    [
        ("/", "0:50", False),
        ("/database", "0:50", False),
        ("/data", "0:61", True),
        ("/data/deep/down", "0:61", True),
        ("/data/with space/x", "254:1", False),
        ("/scratch", "0:60", False),
        ("/etc/hostname", "254:0", False),
    ],
)
def test_a_path_is_on_the_mount_nearest_to_it(path: str, device: str, sized: bool):
    """The last of two at one place; whole names, not beginnings of them; escapes read."""
    found = mount_of(1, path)
    assert (found.device, found.is_sized) == (device, sized)


def test_only_memory_with_a_size_is_sized():
    """A size in the options of a disk is not one."""
    assert not Mount("/", "8:1", "xfs", frozenset({"size=1"})).is_sized
    assert not Mount("/", "0:1", "tmpfs", frozenset({"rw"})).is_sized


def test_links_are_followed_inside_the_other_root(tmp_path: Path):
    """Absolute, relative, upwards, in a chain; a loop and a hole are told."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "in").mkdir()
    for name, target in {
        "absolute": str(tmp_path / "real"),
        "chain": "absolute/in",
        "loop": "loop",
    }.items():
        (tmp_path / name).symlink_to(target)
    pid, real = os.getpid(), os.path.realpath(tmp_path)
    assert resolved(pid, f"{tmp_path}/absolute/in") == f"{real}/real/in"
    assert resolved(pid, f"{tmp_path}/chain/../../real/.") == f"{real}/real"
    assert resolved(pid, "/") == "/"
    with pytest.raises(InsideError, match="too many links"):
        resolved(pid, f"{tmp_path}/loop")
    with pytest.raises(InsideError, match="there is no"):
        resolved(pid, f"{tmp_path}/hole")


def test_a_process_of_another_machine_is_no_container_s(tmp_path: Path):
    """Its cgroup does not have the container's name."""
    with pytest.raises(InsideError, match="not to be seen"):
        group_of("f" * 64, os.getpid(), tmp_path)
    with pytest.raises(InsideError, match="not to be seen"):
        group_of("f" * 64, 2**22 + 1, tmp_path)


def sleeper() -> subprocess.Popen[bytes]:
    """A child that has another child of its own once it is told to."""
    code = (
        "import subprocess, sys; print(flush=True); sys.stdin.readline()\n"
        "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True)\n"
        "sys.stdin.readline(); child.kill()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_soft_limits_go_down_and_come_back_for_children_as_well():
    """Each process gets what it had; one born under the limit what its parent had."""
    with sleeper() as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        pids = [process.pid]
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (777, hard))
        limit = FileLimit(lambda: pids, 64)
        limit.hold()
        limit.hold()
        process.stdin.write(b"\n")
        process.stdin.flush()
        pids.append(int(process.stdout.readline()))
        limit.hold()
        during = {one.soft for one in limited(pids)}
        limit.release()
        after = {one.soft for one in limited(pids)}
        limit.release()
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.wait(10)
    assert (during, after) == ({64}, {777})
    assert limited(pids[:1]) == []


def test_a_limit_that_was_lower_stays():
    """Neither raised while it is held nor afterwards."""
    with sleeper() as process:
        assert process.stdin
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (20, hard))
        limit = FileLimit(lambda: [process.pid], 64)
        limit.hold()
        assert [one.soft for one in limited([process.pid])] == [20]
        limit.release()
        assert [(one.soft, one.hard) for one in limited([process.pid])] == [(20, hard)]
        process.kill()


class Counting:
    """Something to hold that fails at first, as a container does that is just starting."""

    def __init__(self) -> None:
        self.held = 0
        self.released = 0

    def hold(self) -> None:
        self.held += 1
        if self.held == 2:
            raise InsideError("no such folder yet")

    def release(self) -> None:
        self.released += 1


async def test_what_is_held_is_put_in_force_again_until_it_is_let_go():
    """Also after it could not be for a moment."""
    import asyncio

    holder, thing = Holder(), Counting()
    await holder._keep(("disk", "one"), thing)
    async with asyncio.timeout(5):
        while thing.held < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await holder._let_go(("disk", "one"))
    held = thing.held
    await holder._let_go(("disk", "one"))
    await asyncio.sleep(0.1)
    assert (thing.held, thing.released) == (held, 1)


@pytest.mark.parametrize("version", [1, 2])
def test_the_words_of_the_kernel_for_a_throttle(tmp_path: Path, version: int):
    """As both versions write and read them; another device's line is not taken for this one's."""
    group = Group(tmp_path, tmp_path, version)
    names = (
        ["io.max"]
        if version == 2
        else ["blkio.throttle.write_bps_device", "blkio.throttle.read_bps_device"]
    )
    assert throttle.why_not(group)
    for name in names:
        (tmp_path / name).write_text("")
    assert throttle.why_not(group) == ""
    assert throttle.in_force(group, "254:0") == {"write": None, "read": None}
    held = throttle.Throttle(group, "254:0", 1000, None)
    held.hold()
    written = [(tmp_path / name).read_text() for name in names]
    assert written == (["254:0 wbps=1000 rbps=max"] if version == 2 else ["254:0 1000", "254:0 0"])
    shown = "254:01 wbps=7 rbps=7\n254:0 rbps=max wbps=1000 riops=max wiops=max\n"
    (tmp_path / names[0]).write_text(shown if version == 2 else "254:01 7\n254:0 1000\n")
    assert throttle.in_force(group, "254:0") == {"write": 1000, "read": None}
    held.release()
    assert (tmp_path / names[0]).read_text() == (
        "254:0 wbps=max rbps=max" if version == 2 else "254:0 0"
    )


@pytest.mark.usefixtures("table")
def test_a_disk_is_the_one_below_layers_and_none_for_memory(monkeypatch: pytest.MonkeyPatch):
    """Docker keeps layers where it keeps a container's hostname."""
    monkeypatch.setattr(throttle, "resolved", lambda _, path: path)
    assert throttle.device_of(1, "/var/lib") == "254:0"
    assert throttle.device_of(1, "/data/with space") == "254:1"
    with pytest.raises(InsideError, match="tmpfs, which is on no device"):
        throttle.device_of(1, "/scratch")


def test_a_folder_that_is_not_there_is_no_full_disk():
    """It says why, for whoever asks before filling; and nothing of it counts as full."""
    found = room(os.getpid(), "/no/such/folder", 1)
    assert found["why_not"] == "there is no /no/such/folder in it"
    assert found["takes"]
