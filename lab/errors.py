"""Errors that a person can act on, and the exit codes of `lab`.

A system under test that fails is a *result*, never an exception. These exceptions are for a lab
that cannot run: a mistake in a file, a missing part of the machine, a fault that did not heal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `lab run`; `docs/results.md` explains each."""

    AS_PREDICTED = 0
    NOT_AS_PREDICTED = 1
    BAD_INPUT = 2
    UNKNOWN = 3
    ENVIRONMENT = 4
    HEALING_INCOMPLETE = 5
    INTERRUPTED = 130


class LabError(Exception):
    """Base of every error the lab raises on purpose.

    Args:
        message: what was asked, what was found, why that does not work.
        remedy: the one thing to do next, best an exact command.
    """

    exit_code = ExitCode.ENVIRONMENT

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an author's file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str
    source_line: str = ""
    width: int = 1
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: error: {self.message}"
        if self.source_line:
            gutter = f"{self.line:>5} | "
            caret = " " * (len(gutter) - 2) + "| " + " " * (self.column - 1) + "^" * self.width
            text += f"\n{gutter}{self.source_line}\n{caret}"
            if self.hint:
                text += f" {self.hint}"
        elif self.hint:
            text += f" ({self.hint})"
        return text


class SpecError(LabError):
    """The author's experiment or topology file is wrong; carries every mistake at once."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UsageError(LabError):
    """The command line asks for something that does not exist."""

    exit_code = ExitCode.BAD_INPUT


class EngineError(LabError):
    """The engine cannot do what was asked: no Docker, a port taken, a failing build."""

    exit_code = ExitCode.ENVIRONMENT


class NotReadyError(EngineError):
    """A service did not become healthy in time; the message carries its last log lines."""


class InjectionError(LabError):
    """A fault could not be put in, or did not bite: the run has earned no verdict."""

    exit_code = ExitCode.UNKNOWN


class HealError(LabError):
    """A fault did not come off, or something is left behind; outranks every other outcome."""

    exit_code = ExitCode.HEALING_INCOMPLETE
