"""`python -m lab.schema`: print the schema; `--write` writes the file, `--check` compares it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping

from pydantic import BaseModel

from lab.schema import SCHEMA_FILE, schema_text


def fault_kinds() -> Mapping[str, type[BaseModel]]:
    """The kinds that exist; found by name, because faults are a layer above this one."""
    kinds: Mapping[str, type[BaseModel]] = importlib.import_module("lab.faults").KINDS
    return kinds


def main() -> int:
    """Print, write or check the schema; 1 when the committed file has fallen behind."""
    parser = argparse.ArgumentParser(prog="python -m lab.schema", description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="write lab/schema/experiment.json")
    what.add_argument("--check", action="store_true", help="fail when the file is out of date")
    arguments = parser.parse_args()
    text = schema_text(fault_kinds())
    if arguments.write:
        SCHEMA_FILE.write_text(text, "utf-8")
    elif not arguments.check:
        sys.stdout.write(text)
    elif not SCHEMA_FILE.is_file() or SCHEMA_FILE.read_text("utf-8") != text:
        sys.stderr.write(f"{SCHEMA_FILE} has fallen behind the models\n  -> run make schema\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
