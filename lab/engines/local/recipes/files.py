"""The author's files, put where a process can have them: a small file system under its home."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from lab.topology import File, Service

ROOT = "root"
"""The folder under an instance's home that stands for a container's `/`."""


def inside(home: Path, target: str) -> Path:
    """Where a path of the container is: `/etc/nginx` -> `<home>/root/etc/nginx`."""
    return home / ROOT / os.path.normpath("/" + target).lstrip("/")


def put(files: Iterable[File], home: Path) -> dict[str, Path]:
    """Copy the author's files; where each target is now."""
    placed = {}
    for file in files:
        path = inside(home, file.target)
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.source.is_dir():
            shutil.copytree(file.source, path, dirs_exist_ok=True)
        else:
            shutil.copy(file.source, path)
        placed[file.target.rstrip("/")] = path
    return placed


def hand_over(folder: Path, uid: int | None, gid: int | None) -> None:
    """Give a folder and all in it to a user."""
    if uid is None or gid is None:
        return
    os.chown(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, uid, gid, follow_symlinks=False)


def within(path: str, folder: str) -> bool:
    """Whether a path of the container is a folder's, or in it."""
    path, folder = os.path.normpath(path), os.path.normpath(folder)
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def target_of(volume: str) -> str:
    """The target of a volume `name:/target` or a tmpfs `/target:options`."""
    return next(part for part in volume.split(":") if part.startswith("/"))


def certificates_of(service: Service) -> list[str]:
    """The folders that get certificates of the run."""
    return [folder for folder in (service.certificates, service.trusts) if folder]


def texts_of(service: Service) -> list[str]:
    """What a service is told, apart from its files."""
    test = service.healthcheck.test if service.healthcheck else ()
    return [*(service.command or ()), *(service.entrypoint or ()), *test]
