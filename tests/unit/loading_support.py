"""What the tests of the loader share: fault kinds of their own, fixtures, problems in brief."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from lab.errors import Problem
from lab.experiment import Model
from lab.units import Seconds, Share

FIXTURES = Path(__file__).parent / "fixtures"


class Latency(Model):
    """A fault of a link, with a required quantity."""

    kind: ClassVar[str] = "latency"
    link: str
    delay: Seconds = Field(examples=["200ms"])
    jitter: Seconds = 0.0
    stream: Literal["upstream", "downstream"] = "downstream"

    def describe(self) -> str:
        """What is broken."""
        return f"latency on {self.link}"


class Pause(Model):
    """A fault of a service."""

    kind: ClassVar[str] = "pause"
    service: str

    def describe(self) -> str:
        """What is broken."""
        return f"pause of {self.service}"


class Cut(Model):
    """A fault between two services."""

    kind: ClassVar[str] = "cut"
    between: tuple[str, str]

    def describe(self) -> str:
        """What is broken."""
        return f"cut of {self.between}"


class AppError(Model):
    """A fault whose settings all have a default but one."""

    kind: ClassVar[str] = "app_error"
    service: str
    share: Share = 0.2

    def describe(self) -> str:
        """What is broken."""
        return f"errors of {self.service}"


KINDS: Mapping[str, type[BaseModel]] = {
    "latency": Latency,
    "pause": Pause,
    "cut": Cut,
    "app_error": AppError,
}


def brief(problem: Problem) -> str:
    """`12:9+5 message -> hint`, with the file in front when it is a Compose file."""
    file = Path(problem.file)
    where = f"{file.name}:" if file.name.startswith("compose") else ""
    hint = f" -> {problem.hint}" if problem.hint else ""
    return f"{where}{problem.line}:{problem.column}+{problem.width} {problem.message}{hint}"
