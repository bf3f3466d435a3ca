"""Makes a Python service find its names and its address, as a container would.

The folder is put on the `PYTHONPATH` of a service: Python then imports `sitecustomize` from it at
every start. Nothing else of the lab is imported there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lab.engines.local.program import Place

FOLDER = Path(__file__).parent
SETTINGS = "LAB_SHIM"
"""The environment variable that `sitecustomize` reads."""


def one_address(place: Place) -> bool:
    """Whether addresses are only names here, and 127.0.0.1 is all there is."""
    renamed = any(address != real for (address, _), (real, _) in place.moved.items())
    return renamed or sys.platform != "linux"


def settings(place: Place, host: str) -> str:
    """What the shim must know, as JSON for its environment variable; `host` is its own name."""
    in_sight = {place.own, *(one for several in place.names.values() for one in several)}
    moved = {virtual: real for virtual, real in place.moved.items() if virtual[0] in in_sight}
    return json.dumps(
        {
            "own": place.own,
            "host": host,
            "names": place.names,
            "moved": [[*virtual, *real] for virtual, real in moved.items()],
            "one_address": one_address(place),
        },
        separators=(",", ":"),
    )
