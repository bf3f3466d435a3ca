"""Loads an experiment that is written in Python: a file that defines `experiment() -> Experiment`.

Python is for what the YAML file deliberately cannot say (loops, sweeps, computed values); the
value is the same and is checked the same.
"""

from __future__ import annotations

import runpy
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.errors import Problem, SpecError, UsageError
from lab.experiment import Experiment
from lab.loading.checks import (
    Mistake,
    Names,
    Targets,
    claim_mistakes,
    expression_mistakes,
    requests_of,
    setting_mistakes,
    shared_mistakes,
    trimmed_spans,
)
from lab.loading.conditions import Surroundings, condition_mistakes
from lab.loading.document import shown
from lab.sentences import Expression, parse_sentence

FUNCTION = "experiment"


def load_python(path: Path, seed: int | None = None) -> Experiment:
    """Run the file and its `experiment()`.

    Raises:
        UsageError: there is no such file.
        SpecError: it does not run, does not define `experiment`, or the value is wrong.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{shown(path)} cannot be read: {error}") from None
    line = next(
        (n for n, code in enumerate(text.splitlines(), 1) if code.startswith(f"def {FUNCTION}(")), 1
    )
    value = _evaluated(path, text)
    if not isinstance(value, Experiment):
        message = f"the file must define {FUNCTION}(), and that return an Experiment"
        raise SpecError([_problem(path, text, line, message)])
    known = {"path": shown(path), "text": text, **({} if seed is None else {"seed": seed})}
    experiment = value.model_copy(update=known)
    mistakes = list(_mistakes(experiment))
    if mistakes:
        raise SpecError(
            [_problem(path, text, line, f"{where}: {m.message}", m.hint) for where, m in mistakes]
        )
    return experiment


def _evaluated(path: Path, text: str) -> Any:
    """What the author's function returns; whatever it raises is the author's mistake."""
    try:
        return runpy.run_path(str(path)).get(FUNCTION, _nothing)()
    except SpecError:
        raise
    except SyntaxError as error:
        line = error.lineno or 1
        raise SpecError([_problem(path, text, line, f"not Python: {error.msg}")]) from None
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame.lineno for frame in frames if Path(frame.filename) == path]
        message = f"{type(error).__name__}: {error}"
        raise SpecError([_problem(path, text, (own or [1])[-1] or 1, message)]) from error


def _nothing() -> None:
    """Stands in for a function that the file does not define."""


def _mistakes(experiment: Experiment) -> Iterator[tuple[str, Mistake]]:
    """Every mistake of the value, with the part that it is in."""
    designs = experiment.designs
    names = Names(experiment.phases, experiment.faults, experiment.trim_s, requests_of(designs))
    for second, mistake in shared_mistakes({n: d.topology for n, d in designs.items()}):
        yield f"design `{second}`", mistake
    for name, design in designs.items():
        for side in ("holds", "breaks", "pays"):
            for claim in getattr(design, side):
                where = f"`{claim}` in `{side}` of design `{name}`"
                yield from ((where, m) for m in claim_mistakes(claim, name, names))
        for settings, what in ((design.env, "environment"), (design.replicas, "replicas")):
            for service in settings:
                where = f"{what} of design `{name}`"
                yield from ((where, m) for m in setting_mistakes(design.topology, service, what))
        for piece in parse_sentence(design.why):
            if isinstance(piece, Expression):
                where = f"`{piece}` of design `{name}`"
                yield from ((where, m) for m in expression_mistakes(piece, name, names))
    yield from _rest(experiment, names)


def _rest(experiment: Experiment, names: Names) -> Iterator[tuple[str, Mistake]]:
    for name, claims in experiment.requires.items():
        for claim in claims:
            if name not in experiment.designs:
                yield "requires", Mistake(f"there is no design `{name}`")
            yield from ((f"`{claim}` in requires", m) for m in claim_mistakes(claim, name, names))
    used = {experiment.phases[0].name, *_trimmed(experiment)}
    for phase in (phase for phase in experiment.phases if phase.name in used):
        if phase.end_s - phase.start_s <= 2 * experiment.trim_s:
            yield f"phase `{phase.name}`", Mistake("nothing is left of it once it is trimmed")
    topologies = {name: (d.topology, d.replicas) for name, d in experiment.designs.items()}
    targets, faults = Targets(topologies.values()), experiment.faults
    around = Surroundings.of(
        (f.name for f in faults), (p.name for p in experiment.phases), topologies
    )
    for fault in experiment.faults:
        yield from ((f"fault `{fault.name}`", m) for _, m in targets.mistakes(fault.fault))
        if fault.at_s < 0 or fault.for_s <= 0 or fault.until_s > experiment.duration_s + 1e-6:
            yield f"fault `{fault.name}`", Mistake("it does not lie inside the timeline")
        for condition in filter(None, (fault.when, fault.until)):
            mistakes = condition_mistakes(condition, fault.name, fault.fault, around)
            yield from ((f"`{condition}` of fault `{fault.name}`", m) for m in mistakes)


def _trimmed(experiment: Experiment) -> Iterator[str]:
    """The phases that claims and sentences look at without their edges."""
    designs = experiment.designs.values()
    claims = [c for d in designs for side in (d.holds, d.breaks, d.pays) for c in side]
    claims += [claim for required in experiment.requires.values() for claim in required]
    for claim in claims:
        yield from trimmed_spans(claim.window, [claim.measure], claim.bound.reference)
    for piece in (piece for design in designs for piece in parse_sentence(design.why)):
        if isinstance(piece, Expression):
            yield from trimmed_spans(piece.window, piece.measures)


def _problem(path: Path, text: str, line: int, message: str, hint: str = "") -> Problem:
    lines = text.splitlines()
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    indent = len(source) - len(source.lstrip())
    width = max(1, len(source.strip()))
    return Problem(shown(path), line, indent + 1, message, source.replace("\t", " "), width, hint)
