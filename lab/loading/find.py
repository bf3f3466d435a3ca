"""Where things are: the project's root, topologies and experiments by name."""

from __future__ import annotations

import re
from pathlib import Path

from lab.errors import UsageError
from lab.loading.document import shown
from lab.loading.hints import did_you_mean

TOPOLOGIES = "topologies"
EXPERIMENTS = "experiments"

_SUFFIXES = (".yaml", ".yml", ".py")
_DEFINES_EXPERIMENT = re.compile(r"^def experiment\(", re.MULTILINE)


def project_root(start: Path) -> Path | None:
    """The nearest folder that holds `topologies/`: from `start` upwards, then from here upwards."""
    starts = (start.resolve(), Path.cwd())
    for folder in (folder for first in starts for folder in (first, *first.parents)):
        if (folder / TOPOLOGIES).is_dir():
            return folder
    return None


def is_there(path: Path, *, folder: bool = False) -> bool:
    """Whether a path exists; one that no file can have (too long, a null byte) does not."""
    try:
        return path.is_dir() if folder else path.exists()
    except (OSError, ValueError):
        return False


def topology_file(reference: str, root: Path) -> Path:
    """The Compose file of `name` or `name/variant`, whether it exists or not."""
    name, _, variant = reference.partition("/")
    return root / TOPOLOGIES / name / (f"compose.{variant}.yaml" if variant else "compose.yaml")


def topology_name(file: Path) -> str:
    """`url-shortener/replicated` for `…/url-shortener/compose.replicated.yaml`."""
    variant = re.fullmatch(r"compose(?:\.(.+))?\.ya?ml", file.name)
    if not variant:
        return file.stem
    return file.resolve().parent.name + (f"/{variant[1]}" if variant[1] else "")


def list_topologies(root: Path) -> list[str]:
    """References of all topologies of a project."""
    files = (root / TOPOLOGIES).glob("*/compose*.yaml")
    return sorted(topology_name(file) for file in files)


def find_topology(reference: str, root: Path) -> Path:
    """The Compose file of a topology, by reference or by path.

    Raises:
        UsageError: there is none.
    """
    by_path = reference.endswith((".yaml", ".yml"))
    file = Path(reference) if by_path else topology_file(reference, root)
    if is_there(file) and file.is_file():
        return file
    raise UsageError(
        f"there is no topology `{reference}`: no file {shown(file)}",
        remedy=did_you_mean(reference, list_topologies(root)) or None,
    )


def list_experiments(root: Path) -> list[Path]:
    """All experiment files of a project, by name; Python files count that define `experiment()`."""
    folder = root / EXPERIMENTS
    files = [file for file in folder.rglob("*") if file.suffix in _SUFFIXES and file.is_file()]
    return sorted((file for file in files if _is_experiment(file, folder)), key=lambda f: f.stem)


def find_experiment(name: str, root: Path) -> Path:
    """The file of an experiment, by name or by path.

    Raises:
        UsageError: there is none of that name, or more than one.
    """
    if name.endswith(_SUFFIXES) and is_there(Path(name)):
        return Path(name)
    files = list_experiments(root)
    found = [file for file in files if name in (file.stem, file.name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"several experiments are called `{name}`: {', '.join(shown(f) for f in found)}",
            remedy="give the path of one",
        )
    names = [file.stem for file in files]
    raise UsageError(
        f"there is no experiment `{name}` in {shown(root / EXPERIMENTS)}",
        remedy=did_you_mean(name, names) or "put one there; docs/ says how",
    )


def _is_experiment(file: Path, folder: Path) -> bool:
    if any(part.startswith((".", "_")) for part in file.relative_to(folder).parts):
        return False
    return file.suffix != ".py" or bool(
        _DEFINES_EXPERIMENT.search(file.read_text("utf-8", "replace"))
    )
