"""`debian:trixie-slim` from Debian packages, for machines that no image registry answers.

mmdebstrap resolves, verifies and unpacks the packages of Debian's smallest variant; the result is
imported under the lab's own name, never under that of the official image.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import docker

from lab.engines.docker.host_settings import debian_mirrors
from lab.errors import EngineError

RELEASE = "trixie"
DEBIAN = f"debian:{RELEASE}-slim"  # the reference that a bootstrapped image stands in for
LABEL = "lab.image"  # on every image the lab makes, so that it can find and remove them

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LIMIT_S = 900
_TAIL_LINES = 15

# The official slim image leaves these out too.
_LEFT_OUT = ("doc", "groff", "info", "linda", "lintian", "locale", "man")
# apt's caches would add 90 MB to every layer that installs something. Set last: mmdebstrap itself
# needs the packages that apt downloads for it.
_APT_CLEAN = (
    'APT::Keep-Downloaded-Packages "false"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'
)
# As in the official image: installing a server must not start it.
_NO_DAEMONS = (
    'printf "#!/bin/sh\\nexit 101\\n" > "$1"/usr/sbin/policy-rc.d'
    ' && chmod 755 "$1"/usr/sbin/policy-rc.d'
)


class ImageError(EngineError):
    """An image can be neither found, pulled nor built; the message says which step failed."""


def bootstrapped_tag() -> str:
    """Tag of the bootstrapped image; a new recipe or mirror gives a new one."""
    recipe = "\n".join(_command(Path("root.tar")))
    return f"chaos-lab/debian:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def bootstrap(client: docker.DockerClient, say: Callable[[str], None]) -> str:
    """Make the image and return its tag; takes about 20 s.

    Raises:
        ImageError: mmdebstrap or Debian's keys are missing, or it failed.
    """
    if shutil.which("mmdebstrap") is None:
        raise ImageError(
            f"{DEBIAN} cannot be pulled, and mmdebstrap, which would make it from Debian "
            "packages, is not installed",
            remedy="on Debian or Ubuntu: `apt-get install -y mmdebstrap debian-archive-keyring` as "
            f"root; elsewhere: `docker load` a saved {DEBIAN}",
        )
    if not _KEYRING.exists():
        raise ImageError(
            f"{DEBIAN} cannot be pulled, and Debian's signing keys ({_KEYRING}) are missing",
            remedy="`apt-get install -y debian-archive-keyring` as root",
        )
    say(f"making {DEBIAN} from Debian packages of {debian_mirrors()[0]}")
    tag = bootstrapped_tag()
    with tempfile.TemporaryDirectory(prefix="chaos-lab-debian-") as folder:
        archive = Path(folder) / "root.tar"
        _run(_command(archive))
        repository, _, version = tag.rpartition(":")
        client.api.import_image_from_file(
            str(archive),
            repository=repository,
            tag=version,
            changes=['CMD ["bash"]', f"LABEL {LABEL}=debian"],
        )
    return tag


def _command(archive: Path) -> list[str]:
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    mirror, security = debian_mirrors()
    source = f"deb [signed-by={_KEYRING}]"
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--include=ca-certificates",  # a mirror reached over https needs it from the first build on
        "--dpkgopt=force-unsafe-io",
        *excluded,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        '--aptopt=Acquire::Languages "none"',
        f"--customize-hook=echo '{_APT_CLEAN}' > \"$1\"/etc/apt/apt.conf.d/docker-clean",
        '--customize-hook=rm -f "$1"/var/cache/apt/*.bin',
        f"--customize-hook={_NO_DAEMONS}",
        RELEASE,
        str(archive),
        f"{source} {mirror} {RELEASE} main",
        f"{source} {mirror} {RELEASE}-updates main",
        *([f"{source} {security} {RELEASE}-security main"] if security else []),
    ]


def _run(command: list[str]) -> None:
    # Left to choose, it falls back on fakechroot, which fails when libc here and there differ.
    mode = "root" if os.geteuid() == 0 else "unshare"
    command = [command[0], f"--mode={mode}", *command[1:]]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(
            f"mmdebstrap took more than {_LIMIT_S // 60} minutes",
            remedy=f"check that {debian_mirrors()[0]} answers, or set LAB_DEBIAN_MIRROR",
        ) from error
    if done.returncode != 0:
        tail = "\n".join(f"    {line[:200]}" for line in done.stderr.splitlines()[-_TAIL_LINES:])
        raise ImageError(f"mmdebstrap failed:\n{tail}", remedy=_remedy(done.stderr))


def _remedy(log: str) -> str:
    if "No space left" in log:
        return "free disk space (TMPDIR and Docker's own), for example `docker system prune`"
    if os.geteuid() != 0 and re.search(r"unshare|uidmap|subuid|namespace|permitted", log):
        return "`apt-get install -y uidmap` as root, or run this once as root"
    return f"check that {debian_mirrors()[0]} answers, or name another by LAB_DEBIAN_MIRROR"
