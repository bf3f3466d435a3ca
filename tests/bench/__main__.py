"""Benchmarks by name: `python -m tests.bench [NAME ...]`, all without a name.

A benchmark is a module `bench_NAME` of this folder with a `main()`. `make bench BENCH=checkers
BENCH_JSON=numbers.json` keeps its numbers as well (tests/bench/results.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.results import VARIABLE

FOLDER = Path(__file__).parent
FIRST = ("driver", "proxy")


def names() -> list[str]:
    """Every benchmark there is."""
    found = {path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")}
    return sorted(found, key=lambda name: (name not in FIRST, name))


def main(wanted: list[str]) -> int:
    """Run those, each in a process of its own; the exit code of the first that failed."""
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
        return 2
    if os.environ.get(VARIABLE):
        Path(os.environ[VARIABLE]).write_text("{}\n")
    codes = []
    for name in wanted or names():
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"tests.bench.bench_{name}"]
        codes.append(subprocess.run(command, cwd=FOLDER.parents[1], check=False).returncode)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
