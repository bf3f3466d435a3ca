"""Loads an experiment: YAML to a checked `Experiment`, with every mistake of the file at once."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab.claims import Claim, parse_claim
from lab.errors import SpecError
from lab.experiment import Design, Experiment, Load, Phase
from lab.loading.checks import (
    Mistake,
    Names,
    Targets,
    claim_mistakes,
    expression_mistakes,
    setting_mistakes,
    shared_mistakes,
    trimmed_spans,
)
from lab.loading.compose import load_topology
from lab.loading.conditions import Surroundings, condition_mistakes
from lab.loading.document import Document, KeyPath, read_document, shown
from lab.loading.faults import FaultKinds, Written, read_faults
from lab.loading.find import is_there, list_topologies, project_root, topology_file, topology_name
from lab.loading.form import DesignForm, ExperimentForm
from lab.loading.hints import did_you_mean
from lab.loading.load import check_stages, effective_load, read_load, stages_path
from lab.loading.python_file import load_python
from lab.loading.reader import Reader, known, said
from lab.sentences import Expression, parse_sentence
from lab.topology import Topology

SIDES = ("holds", "breaks", "pays")

_PHASE_NAME = re.compile(r"[A-Za-z][\w-]*")
_DESIGN_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_LATER = ("designs", "load", "timeline", "faults", "requires", "env", "replicas", "topology")


def load_experiment(path: Path, fault_kinds: FaultKinds, seed: int | None = None) -> Experiment:
    """Load an experiment from a `.yaml` file, or from a `.py` file that defines `experiment()`.

    Args:
        path: the file.
        fault_kinds: the model of each fault kind by its YAML word.
        seed: replaces the file's own.

    Raises:
        UsageError: there is no such file.
        SpecError: with every mistake in it, and in the topologies that it names.
    """
    if path.suffix == ".py":
        return load_python(path, seed)
    return _Loader(read_document(path), path, fault_kinds).load(seed)


class _Loader:
    """One file on its way to a value."""

    def __init__(self, document: Document, path: Path, kinds: FaultKinds) -> None:
        self._reader = Reader(document)
        self._document = document
        self._path = path
        self._kinds = kinds
        self._root = project_root(path.parent)
        self._topologies: dict[Path, Topology | None] = {}
        self._trimmed: set[str] = set()

    def load(self, seed: int | None) -> Experiment:
        reader = self._reader
        values = reader.fields(ExperimentForm, (), later=_LATER)
        phases = self._phases()
        trim_s = values.pop("trim", 1.0)
        designs = {str(name): self._design(str(name)) for name in reader.mapping(("designs",))}
        self._check_designs(designs, phases)
        self._check_loads(designs, phases)
        faults = read_faults(reader, self._kinds, phases, designs)
        self._check_targets(faults, designs)
        self._check_conditions(faults, phases, designs)
        names = self._names(phases, faults, designs, trim_s)
        for name, design in designs.items():
            self._claims(name, design, names)
        requires = self._requires(designs, names)
        self._check_trim(phases, trim_s, self._trimmed | {phase.name for phase in phases[:1]})
        reader.finish()
        try:
            return Experiment(
                name=self._path.stem,
                phases=phases,
                designs={name: Design(**design) for name, design in designs.items()},
                faults=tuple(fault.scheduled for fault in faults if fault.scheduled),
                requires=requires,
                trim_s=trim_s,
                path=shown(self._path),
                text=self._document.text,
                **(values if seed is None else values | {"seed": seed}),
            )
        except ValidationError as error:  # the value has the last word on what it may be
            for detail in error.errors():
                reader.wrong((), *said(detail))
            reader.finish()
            raise

    def _phases(self) -> tuple[Phase, ...]:
        """The timeline; empty, and noted, when any of it is wrong."""
        reader, before = self._reader, len(self._reader.problems)
        timeline = reader.mapping(("timeline",))
        seconds = reader.field(ExperimentForm, "timeline", ("timeline",), timeline).get(
            "timeline", {}
        )
        start_s, phases = 0.0, []
        for name, phase_s in seconds.items():
            if not _PHASE_NAME.fullmatch(name) or name == "run":
                message = f"`{name}` cannot be the name of a phase"
                reader.wrong(("timeline", name), message, "use letters, digits and -", key=True)
            if phase_s <= 0:
                reader.wrong(("timeline", name), "a phase lasts longer than nothing")
            phases.append(Phase(name=name, start_s=start_s, end_s=start_s + phase_s))
            start_s += phase_s
        if not phases and self._document.has(("timeline",)) and len(reader.problems) == before:
            reader.wrong(
                ("timeline",), "the timeline has no phase", "write {baseline: 8s, fault: 12s}"
            )
        return tuple(phases) if len(reader.problems) == before else ()

    def _check_trim(self, phases: tuple[Phase, ...], trim_s: float, used: set[str]) -> None:
        """Something must be left of the phases used; a `trim` that is too long is one mistake."""
        looked_at = [phase for phase in phases if phase.name in used]
        for phase in sorted(looked_at, key=lambda phase: phase.end_s - phase.start_s):
            phase_s = phase.end_s - phase.start_s
            if phase_s > 2 * trim_s:
                return
            cut = f"once {trim_s:g} s are trimmed at both edges"
            message = f"nothing is left of `{phase.name}` ({phase_s:g} s) {cut}"
            if self._document.has(("trim",)):
                self._reader.wrong(("trim",), message, f"write less than {phase_s / 2:g}s")
                return
            place = ("timeline", phase.name)
            self._reader.wrong(place, message, "make it longer, or set `trim`")

    def _design(self, name: str) -> dict[str, Any]:
        """The good parts of a design; `load` is still only what it says itself."""
        path: KeyPath = ("designs", name)
        later = ("topology", "load", *SIDES, "env", "replicas")
        values = self._reader.fields(DesignForm, path, later=later)
        if not _DESIGN_NAME.fullmatch(name):
            message = f"`{name}` cannot be the name of a design"
            self._reader.wrong(path, message, "use letters, digits and any of - + . _", key=True)
        values["topology"] = topology = self._topology(path)
        for key, what in (("env", "environment"), ("replicas", "replicas")):
            values[key] = self._settings(path, key, what, topology)
        values["load"] = read_load(self._reader, (*path, "load"))
        written = [(*path, side) for side in SIDES[:2] if self._document.has((*path, side))]
        predicts = any(self._document.at(side) != [] for side in written)
        if not predicts and isinstance(self._document.at(path), dict):
            message = f"design `{name}` predicts nothing"
            self._reader.wrong(path, message, "add holds: or breaks: with a claim", key=True)
        return values

    def _topology(self, path: KeyPath) -> Topology | None:
        """The topology of a design: its own, or the one of the whole file."""
        place: KeyPath = (*path, "topology")
        if not self._document.has(place):
            place = ("topology",)
        reference = self._document.at(place)
        if not self._document.has(place):
            message = f"design `{path[-1]}` has no topology"
            self._reader.wrong(path, message, "add topology: here or at the top", key=True)
        elif not isinstance(reference, str):
            self._reader.wrong(place, "write the name of a topology here")
        else:
            return self._loaded(reference, place)
        return None

    def _loaded(self, reference: str, place: KeyPath) -> Topology | None:
        if reference.endswith((".yaml", ".yml")):
            file = self._path.parent / reference
        elif self._root is None:
            where = shown(self._path.parent)
            self._reader.wrong(place, f"no folder `topologies` in {where} or above", "give a path")
            return None
        else:
            file = topology_file(reference, self._root)
        if file in self._topologies:
            return self._topologies[file]
        self._topologies[file] = None
        if not is_there(file) or file.is_dir():
            names = list_topologies(self._root) if self._root else []
            message = f"there is no topology `{reference}`: no file {shown(file)}"
            self._reader.wrong(place, message, did_you_mean(reference, names))
            return None
        try:
            self._topologies[file] = load_topology(file, topology_name(file))
        except SpecError as error:
            self._reader.problems.extend(error.problems)
        return self._topologies[file]

    def _settings(
        self, path: KeyPath, key: str, what: str, topology: Topology | None
    ) -> dict[str, Any]:
        """`env` or `replicas` of a design, on top of those for every design."""
        merged: dict[str, Any] = {}
        for place in ((key,), (*path, key)):
            if not self._document.has(place):
                continue
            written = self._reader.mapping(place)
            good = self._reader.field(DesignForm, key, place, written).get(key, {})
            for service, value in good.items():
                if place == (key,) and topology and service not in topology.services:
                    continue  # checked over all designs in `_check_designs`
                for mistake in setting_mistakes(topology, service, what) if topology else ():
                    self._note((*place, service), mistake, key=True)
                nested = isinstance(value, dict)
                merged[service] = {**merged.get(service, {}), **value} if nested else value
        return merged

    def _check_designs(self, designs: dict[str, dict[str, Any]], phases: tuple[Phase, ...]) -> None:
        if self._document.has(("designs",)) and len(designs) < 2 and not self._document.problems:
            message = "an experiment compares designs: there must be at least two"
            self._reader.wrong(("designs",), message, key=True)
        for phase in phases:
            if phase.name in designs:
                message = f"a phase is called `{phase.name}` too"
                self._reader.wrong(("designs", phase.name), message, "rename one of them", key=True)
        known_topologies = {n: d["topology"] for n, d in designs.items() if d["topology"]}
        for name, mistake in shared_mistakes(known_topologies):
            self._note(("designs", name), mistake, key=True)
        services = {s for topology in known_topologies.values() for s in topology.services}
        for key in ("env", "replicas"):
            for service in self._document.words((key,)):
                if service not in services and len(known_topologies) == len(designs):
                    hint = known(sorted(services), service, "service")
                    self._reader.wrong((key, service), *hint, key=True)

    def _check_loads(self, designs: dict[str, dict[str, Any]], phases: tuple[Phase, ...]) -> None:
        """Make each design's load whole."""
        default = read_load(self._reader, ("load",))
        for name, design in designs.items():
            path = ("designs", name, "load")
            load = effective_load(self._reader, default, design["load"], path)
            design["load"] = load
            if load and phases:
                place = stages_path(self._reader, path, ("load",))
                check_stages(self._reader, load, place, phases[-1].end_s)

    def _check_targets(self, faults: list[Written], designs: dict[str, dict[str, Any]]) -> None:
        """Faults break what exists; not judged while a topology is unknown."""
        if any(design["topology"] is None for design in designs.values()) or not designs:
            return
        targets = Targets((d["topology"], d["replicas"]) for d in designs.values())
        for fault in faults:
            for field, mistake in targets.mistakes(fault.model) if fault.model else ():
                self._note((*fault.path, field), mistake)
        for one, other in itertools.combinations(faults, 2):
            if one.scheduled and other.scheduled:
                clash = targets.overlap(one.scheduled, other.scheduled)
                if clash:
                    self._note(other.path, clash, key=True)

    def _check_conditions(
        self,
        faults: list[Written],
        phases: tuple[Phase, ...],
        designs: dict[str, dict[str, Any]],
    ) -> None:
        """Faults wait for what exists; not judged while a topology or the timeline is unknown."""
        if any(design["topology"] is None for design in designs.values()) or not phases:
            return
        around = Surroundings.of(
            (fault.name for fault in faults),
            (phase.name for phase in phases),
            {name: (d["topology"], d["replicas"]) for name, d in designs.items()},
        )
        for fault in faults:
            for key, condition in fault.conditions.items():
                for mistake in condition_mistakes(condition, fault.name, fault.model, around):
                    self._note((*fault.path, key), mistake)

    def _names(
        self,
        phases: tuple[Phase, ...],
        faults: list[Written],
        designs: dict[str, dict[str, Any]],
        trim_s: float,
    ) -> Names:
        loads: dict[str, Load | None] = {name: design["load"] for name, design in designs.items()}
        return Names(
            phases,
            tuple(fault.scheduled for fault in faults if fault.scheduled),
            trim_s,
            {n: [r.name for r in load.requests] if load else None for n, load in loads.items()},
            {fault.name for fault in faults if not fault.scheduled},
        )

    def _claims(self, name: str, design: dict[str, Any], names: Names) -> None:
        """Read a design's claims and its sentence, and check what they name."""
        for side in SIDES:
            design[side] = tuple(self._read_claims(("designs", name, side), name, names))
        try:
            pieces = parse_sentence(design.get("why", ""))
        except ValueError as error:
            self._reader.unfit(("designs", name, "why"), error)
            return
        for piece in pieces:
            if isinstance(piece, Expression):
                self._trimmed |= trimmed_spans(piece.window, piece.measures)
                for mistake in expression_mistakes(piece, name, names):
                    self._note(("designs", name, "why"), mistake)

    def _read_claims(self, path: KeyPath, design: str, names: Names) -> Iterator[Claim]:
        for index, text in enumerate(self._reader.items(path)):
            place = (*path, index)
            if not isinstance(text, str):
                message, hint = (
                    "a claim is a text, like p99 < 1s during fault",
                    "put quotes around it",
                )
                self._reader.wrong(place, message, hint)
                continue
            try:
                claim = parse_claim(text)
            except ValueError as error:
                self._reader.unfit(place, error)
                continue
            self._trimmed |= trimmed_spans(claim.window, [claim.measure], claim.bound.reference)
            for mistake in claim_mistakes(claim, design, names):
                self._note(place, mistake)
            yield claim

    def _requires(
        self, designs: dict[str, dict[str, Any]], names: Names
    ) -> dict[str, tuple[Claim, ...]]:
        requires = {}
        for name in self._reader.mapping(("requires",)):
            if name not in designs:
                self._reader.wrong(
                    ("requires", name), *known(list(designs), name, "design"), key=True
                )
            requires[name] = tuple(self._read_claims(("requires", name), name, names))
        return requires

    def _note(self, path: KeyPath, mistake: Mistake, *, key: bool = False) -> None:
        self._reader.wrong(path, mistake.message, mistake.hint, key=key, word=mistake.word)
