"""Python services: an image of Python and files, run by the lab's own Python.

The shim in `lab/engines/local/shim` makes their sockets find names and addresses.
"""

from __future__ import annotations

import asyncio
import posixpath
import re
import shutil
import site
import sys
from pathlib import Path

from lab.engines.local import shim
from lab.engines.local.program import Place, Program, Run
from lab.engines.local.recipes import files
from lab.engines.local.recipes.command import (
    environment,
    open_files,
    program,
    search_path,
)
from lab.engines.local.recipes.dockerfile import PYTHON_IMAGES, Copy, PythonImage, read
from lab.engines.local.recipes.recipe import Recipe
from lab.engines.local.recipes.translate import Translator
from lab.errors import EngineError
from lab.plan import Instance
from lab.topology import Build, Service

_PYTHON = re.compile(r"(.*/)?python(3(\.\d+)?)?")
_WEB = 8000


async def install(instance: Instance, place: Place, run: Run) -> Program:  # noqa: ARG001
    """The image's files, its settings and its command, with the shim.

    Raises:
        EngineError: the Dockerfile has a step that a process cannot have, or a file is missing.
    """
    service = instance.service
    image = _image(service)
    place.home.mkdir(parents=True, exist_ok=True)
    if service.build:
        await asyncio.to_thread(_copy_all, image, service.build, place.home)
    placed = {**files.put(service.files, place.home)}
    workdir = posixpath.join(image.workdir, service.working_dir or "")
    cwd = files.inside(place.home, workdir)
    cwd.mkdir(parents=True, exist_ok=True)
    paths = {**placed, **_folders(image, service, place.home)}
    translator = Translator(place, instance.host, _WEB, paths)
    path = search_path()
    env = environment(place.home, instance.host, _settings(image, service, translator), path)
    command = _command(image, service)
    env[shim.SETTINGS] = shim.settings(place, instance.host)
    argv = _as_here(command, translator, path, service, "command")
    check = service.check_command or image.check
    return Program(
        argv,
        env,
        cwd,
        check=_as_here(check, translator, path, service, "healthcheck") if check else None,
        nofile=open_files(service),
        here=lambda words: _as_here(words, translator, path, service, "command to run"),
    )


def _image(service: Service) -> PythonImage:
    return read(service.build) if service.build else PythonImage()


def _command(image: PythonImage, service: Service) -> tuple[str, ...]:
    """Entry point and command; an entry point of Compose's own drops the image's command."""
    if service.entrypoint is not None:
        words = (*service.entrypoint, *(service.command or ()))
    else:
        words = (
            *image.entrypoint,
            *(image.command if service.command is None else service.command),
        )
    if not words:
        raise EngineError(
            f"`{service.name}` has no command", remedy="write CMD in its Dockerfile, or `command:`"
        )
    return words


def _settings(image: PythonImage, service: Service, translator: Translator) -> dict[str, str]:
    given = {**image.env, **service.environment}
    translated = {name: translator.with_paths(text) for name, text in given.items()}
    translated.pop("PATH", None)  # folders of the image
    before = translated.get("PYTHONPATH")
    return {
        "UVICORN_LOOP": "asyncio",
        # Packages installed with --user stay there although HOME is another.
        "PYTHONUSERBASE": site.getuserbase(),
        **translated,
        "PYTHONPATH": f"{shim.FOLDER}:{before}" if before else str(shim.FOLDER),
    }


def _as_here(
    words: tuple[str, ...], translator: Translator, path: str, service: Service, what: str
) -> tuple[str, ...]:
    """A command: Python's own with the shim in effect, another's with real addresses."""
    if _PYTHON.fullmatch(words[0]):
        rest = _without_isolation(words[1:])
        return (sys.executable, *(translator.with_paths(word) for word in rest))
    first = program(translator.with_paths(words[0]), path, service, what)
    if _starts_python(Path(first)):
        return (first, *(translator.with_paths(word) for word in words[1:]))
    return (first, *translator.words((Path(first).name, *words[1:]))[1:])


def _starts_python(file: Path) -> bool:
    """Whether a program is a script for Python, as `uvicorn` is."""
    with file.open("rb") as stream:
        return b"python" in stream.readline(200) and file.stat().st_size < 1_000_000


def _without_isolation(words: tuple[str, ...]) -> list[str]:
    """Python's flags without those that would keep the shim out: -S, -E and -I."""
    done: list[str] = []
    rest = [*words]
    while rest and rest[0].startswith("-") and not rest[0].startswith("--"):
        word = rest.pop(0)
        if word[1:2] in ("c", "m"):
            return [*done, word, *rest]
        kept = "-" + re.sub("[SEI]", "", word[1:])
        if kept != "-":
            done.append(kept)
        if word[-1] in "WX" and rest:
            done.append(rest.pop(0))
    return [*done, *rest]


def _folders(image: PythonImage, service: Service, home: Path) -> dict[str, Path]:
    """The folders that commands and settings may name: the image's, and volumes."""
    volumes = [files.target_of(text) for text in (*service.volumes, *service.tmpfs)]
    for target in volumes:
        files.inside(home, target).mkdir(parents=True, exist_ok=True)
    certificates = files.certificates_of(service)
    targets = {image.workdir, *(copy.target for copy in image.copies), *volumes, *certificates}
    normal = {posixpath.normpath(target) for target in targets} - {"/"}
    return {target: files.inside(home, target) for target in normal}


def _copy_all(image: PythonImage, build: Build, home: Path) -> None:
    """What COPY puts into the image, of what .dockerignore lets into the build."""
    from docker.utils.build import exclude_paths  # costs 0.2 s: late, and in a thread

    listing = build.context / ".dockerignore"
    patterns = [
        line.strip()
        for line in (listing.read_text().splitlines() if listing.is_file() else ())
        if line.strip() and not line.startswith("#")
    ]
    context = {path.replace("\\", "/") for path in exclude_paths(str(build.context), patterns)}
    for copy in image.copies:
        _copy(copy, build, context, home)


def _copy(copy: Copy, build: Build, context: set[str], home: Path) -> None:
    target = files.inside(home, copy.target)
    into = len(copy.sources) > 1 or copy.target.endswith(("/", "/.")) or target.is_dir()
    for pattern in copy.sources:
        found = _matching(build.context, pattern)
        if not found:
            raise EngineError(
                f"{build.context / build.dockerfile}:{copy.line}: there is no {pattern} in "
                f"{build.context}",
                remedy="correct the path; it is relative to the build context",
            )
        for source in found:
            if source.is_dir():
                _copy_folder(source, target, build.context, context)
            else:
                _copy_file(source, target / source.name if into else target)


def _matching(folder: Path, pattern: str) -> list[Path]:
    pattern = posixpath.normpath(pattern.lstrip("/") or ".")
    return [folder] if pattern == "." else sorted(folder.glob(pattern))


def _copy_folder(source: Path, target: Path, root: Path, context: set[str]) -> None:
    """The folder's content, as COPY does it."""
    target.mkdir(parents=True, exist_ok=True)
    for file in source.rglob("*"):
        if file.is_file() and file.relative_to(root).as_posix() in context:
            _copy_file(file, target / file.relative_to(source))


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _refuses(service: Service) -> list[str]:
    try:
        image = _image(service)
        _command(image, service)
    except EngineError as error:
        return [str(error)]
    return []


def _workdir(service: Service) -> list[str]:
    """Where relative paths lead, so that what is there is found."""
    return [posixpath.join(_image(service).workdir, service.working_dir or "")]


RECIPE = Recipe(
    name="python",
    images=PYTHON_IMAGES,
    server=f"Python {sys.version_info.major}.{sys.version_info.minor}",
    licence="Python's own",
    install=install,
    differs=(
        "the lab's own Python and packages, whatever version the image names",
        "a Dockerfile with RUN, ADD, SHELL or a second FROM is refused",
        "asyncio's event loop instead of uvloop",
        "names are patched in Python's `socket`: psycopg2, gRPC and UDP do not find other services",
    ),
    refuses=_refuses,
    looks_in=_workdir,
)
