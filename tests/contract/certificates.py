"""The faults of certificates that are tried, on the shop's variant with TLS."""

from __future__ import annotations

from pathlib import Path

from lab.faults import KINDS
from lab.faults.base import Fault

PROJECT = Path(__file__).resolve().parents[2]

CASES: dict[str, Fault] = {
    name: KINDS["certificate"].model_validate({"service": "inventory", **settings})
    for name, settings in {
        "expired": {"becomes": "expired"},
        "wrong name": {"becomes": "wrong_name"},
        "unknown authority": {"becomes": "unknown_ca"},
        "lifetime": {"lifetime": "2s"},
    }.items()
}
