"""`python -m dashboards --write` makes the JSON files, `--check` says whether they are as made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.components import HAPROXY, POSTGRES, VALKEY
from dashboards.links import LINKS
from dashboards.overview import OVERVIEW
from dashboards.services import SERVICES

FOLDER = Path(__file__).parent / "grafana" / "json"

DASHBOARDS: dict[str, Dashboard] = {
    "overview": OVERVIEW,
    "links": LINKS,
    "services": SERVICES,
    "postgres": POSTGRES,
    "valkey": VALKEY,
    "haproxy": HAPROXY,
}
"""By the name of their file."""


def files() -> dict[Path, str]:
    """What each file holds."""
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {
        FOLDER / f"{name}.json": encoder.encode(made) + "\n" for name, made in DASHBOARDS.items()
    }


def main() -> int:
    """The command line; the exit code is 1 when a file is not as made."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true")
    choice.add_argument("--check", action="store_true")
    writing = parser.parse_args().write
    made = files()
    stale = [p for p, text in made.items() if not p.exists() or p.read_text() != text]
    stray = [path for path in FOLDER.glob("*.json") if path not in made]
    if writing:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for path in stray:
            path.unlink()
        for path in stale:
            path.write_text(made[path])
            print(f"wrote {path.name}")
        return 0
    for path in (*stale, *stray):
        print(f"{path.name} is not as made: run `make schema`", file=sys.stderr)
    return 1 if stale or stray else 0


if __name__ == "__main__":
    sys.exit(main())
