"""PostgreSQL clusters made once and copied: `initdb` is most of the time that a server needs.

A template is kept in the cache, named after everything that shaped it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakValueDictionary

from lab.engines.local.program import Program, Run
from lab.engines.local.recipes import files, wheels
from lab.errors import EngineError

_INIT = Path(__file__).parent / "postgres_init.sh"
_PATIENCE_S = 120.0
_UNUSED_S = 30 * 24 * 3600.0
"""A template that no run has used for so long is deleted."""
_making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Template:
    """What shapes a cluster. `files` is the folder of init files, which need not exist."""

    version: str
    env: Mapping[str, str]
    files: Path
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The same for the same cluster."""
        digest = hashlib.sha256(_INIT.read_bytes())
        digest.update(
            json.dumps([self.version, dict(self.env), self.arguments], sort_keys=True).encode()
        )
        for file in sorted(self.files.rglob("*")) if self.files.is_dir() else ():
            if file.is_file():
                digest.update(f"\0{file.name}\0{file.stat().st_mode & 0o100}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        return f"postgres-{digest.hexdigest()[:16]}"


async def copy_of(template: Template, program: Program, data: Path, run: Run) -> None:
    """Fill the new folder `data` with the template's cluster, making the template if need be.

    Args:
        template: what to copy.
        program: environment, folder and user of the instance.
        data: where the cluster goes; its parent exists.
        run: runs the set-up.

    Raises:
        EngineError: the set-up failed, with what it said.
    """
    folder = wheels.cache_folder() / template.name
    lock = _making.setdefault(template.name, asyncio.Lock())
    async with lock:  # two designs want the same at the same time; one of them makes it
        if not (folder / "PG_VERSION").is_file():
            await _make(template, program, data, run)
            await asyncio.to_thread(_keep, data, folder)
            return
    with contextlib.suppress(PermissionError):
        os.utime(folder)
    await asyncio.to_thread(_copy, folder, data)
    await asyncio.to_thread(files.hand_over, data, program.uid, program.gid)


async def _make(template: Template, program: Program, data: Path, run: Run) -> None:
    env = {**program.env, "PGDATA": str(data), "LAB_INIT_FILES": str(template.files)}
    script = program.cwd / "tmp" / _INIT.name
    shutil.copy(_INIT, script)
    script.chmod(0o755)
    argv = ("/bin/sh", str(script), *template.arguments)
    result = await run(replace(program, argv=argv, env=env), _PATIENCE_S)
    if result.code:
        said = result.output.strip()[-2000:] or "nothing"
        raise EngineError(
            f"PostgreSQL's set-up failed with exit code {result.code}; it said:\n{said}",
            remedy="correct its environment, or the files in /docker-entrypoint-initdb.d",
        )


def _keep(data: Path, folder: Path) -> None:
    """Put a copy of a finished cluster into the cache; without one the next run is slower."""
    with contextlib.suppress(OSError):
        cache = folder.parent
        cache.mkdir(parents=True, exist_ok=True)
        _delete_old(cache)
        with tempfile.TemporaryDirectory(prefix="new-", dir=cache) as new:
            copy = Path(new) / "data"
            _copy(data, copy)
            wheels.settle(copy, folder)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True, copy_function=shutil.copyfile)
    target.chmod(0o700)


def _delete_old(cache: Path) -> None:
    for folder in [*cache.glob("postgres-*"), *cache.glob("new-*")]:
        if time.time() - folder.stat().st_mtime > _UNUSED_S:
            shutil.rmtree(folder, ignore_errors=True)
