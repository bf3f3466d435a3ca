"""Where benchmarks leave their numbers for programs: one JSON object in the file BENCH_JSON names.

Keys are dotted, `checkers.ops_per_s.10000x10`, so that two runs can be compared line by line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "BENCH_JSON"


def keep(numbers: Mapping[str, float]) -> None:
    """Add numbers to the file, if one is wanted."""
    if not os.environ.get(VARIABLE):
        return
    path = Path(os.environ[VARIABLE])
    before = json.loads(path.read_text()) if path.exists() else {}
    after = before | {key: float(f"{value:.6g}") for key, value in numbers.items()}
    path.write_text(json.dumps(after, indent=2, sort_keys=True) + "\n")
