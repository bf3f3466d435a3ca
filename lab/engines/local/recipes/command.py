"""Commands of a container as commands of this machine: environment, programs, healthchecks."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from lab.engines.local.recipes.translate import Translator
from lab.errors import EngineError
from lab.topology import Service

LOCALE = "C.UTF-8" if sys.platform == "linux" else "C"
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def search_path(*folders: Path) -> str:
    """A PATH that begins with these folders, then has this Python's and the system's programs."""
    python = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    system = os.environ.get("PATH", _SYSTEM_PATH)
    return os.pathsep.join(dict.fromkeys([*map(str, folders), *python, system]))


def environment(home: Path, host: str, given: Mapping[str, str], path: str) -> dict[str, str]:
    """A container's environment: nothing of this shell's, apart from where programs are."""
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "HOSTNAME": host,
        "LANG": LOCALE,
        "PATH": path,
        "TMPDIR": str(scratch),
        **given,
    }


def program(word: str, path: str, service: Service, what: str) -> str:
    """The full path of a program.

    Raises:
        EngineError: there is none of that name here.
    """
    found = word if "/" in word else shutil.which(word, path=path)
    if not found or not os.access(found, os.X_OK):
        raise EngineError(
            f"the {what} of `{service.name}` is `{word}`, which is not on this machine",
            remedy=f"install `{word}`, change the {what}, or use --engine docker",
        )
    return found


def open_files(service: Service) -> int | None:
    """The soft limit on open files that a service asks for."""
    return service.ulimits["nofile"][0] if "nofile" in service.ulimits else None


def check_of(service: Service, translator: Translator, path: str) -> tuple[str, ...] | None:
    """A service's healthcheck, translated; None when it has none.

    Raises:
        EngineError: its program is not on this machine.
    """
    words = translator.words(service.check_command)
    if not words:
        return None
    return (program(words[0], path, service, "healthcheck"), *words[1:])


def server_words(service: Service, names: tuple[str, ...]) -> tuple[str, ...]:
    """What follows the server's name in a service's command; () when Compose has no command.

    Images' entry points take `--flag`, a file, or the server itself.
    """
    words = service.command or ()
    return words[1:] if words and Path(words[0]).name in names else words


def refuse_other_programs(service: Service, names: tuple[str, ...]) -> list[str]:
    """Why a command cannot be run: it starts something else than the image's server."""
    troubles = []
    words = service.command or ()
    if words and not words[0].startswith("-") and Path(words[0]).name not in names:
        troubles.append(f"its command starts `{words[0]}`, and only {names[0]} is there")
    entry = service.entrypoint or ()
    if entry and Path(entry[0]).name not in (*names, "docker-entrypoint.sh"):
        troubles.append(f"its entrypoint is `{entry[0]}`, and only {names[0]} is there")
    return troubles
