"""What a run gathers while it goes, and how that becomes a record. No engine, no waiting."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.checkers import check
from lab.claims import Measure
from lab.clock import Clock
from lab.engines import Usage
from lab.errors import EngineError, ExitCode, HealError, LabError
from lab.experiment import Experiment
from lab.history import Event, History
from lab.messages import Emit, Noted
from lab.metrics import LabMetrics
from lab.plan import Deployment
from lab.record import Cost, FaultRecord, Lag, Record
from lab.sentences import Expression, parse_sentence
from lab.verdict import Status, Verdict

LAB_PART = "lab/"
"""Instance names in `Cluster.usage()` that belong to the observer start with this."""


@dataclass(slots=True)
class Gathered:
    """The state of one run. `usage` holds a reading at the start and one at the end of the load."""

    experiment: Experiment
    deployment: Deployment
    run_id: str
    engine: str
    emit: Emit
    metrics: LabMetrics
    clock: Clock = field(default_factory=lambda: Clock.starting_in(0))
    history: History = field(default_factory=History)
    faults: dict[str, FaultRecord] = field(default_factory=dict)
    problems: list[LabError] = field(default_factory=list)
    links: dict[str, int] = field(default_factory=dict)
    lags: dict[str, Lag] = field(default_factory=dict)
    usage: tuple[Mapping[str, Usage], Mapping[str, Usage]] = ({}, {})
    residue: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    interrupted: str = ""

    def event(self, kind: str, text: str, at_s: float | None = None, **data: Any) -> None:
        """Write one event into the history, now or at a known moment."""
        moment = self.clock.now() if at_s is None else at_s
        self.history.events.append(Event(moment, kind, text, data))

    def problem(self, error: LabError) -> None:
        """Something of the lab itself went wrong; the run goes on to heal and report."""
        self.problems.append(error)
        self.event("problem", error.message, remedy=error.remedy or "")
        self.emit(Noted(self.clock.now(), error.message, "problem"))

    def record(self) -> Record:
        """The finished run, judged."""
        share, cores = self._observer()
        unjudged = Record(
            run_id=self.run_id,
            experiment=self.experiment,
            engine=self.engine,
            started_unix_s=self.clock.zero_unix_s,
            seed=self.experiment.seed,
            history=self.history,
            verdict=Verdict(Status.UNKNOWN, (), ()),
            exit_code=ExitCode.UNKNOWN,
            faults=tuple(self.faults.values()),
            costs={design: self._cost(design) for design in self.deployment.designs},
            lags=self.lags,
            links=self.links,
            observer_share=share,
            observer_cores=cores,
            residue=tuple(self.residue),
            interrupted=self.interrupted,
            versions=self.versions,
            host=host_facts(),
            timings=self.timings,
        )
        return check(unjudged, exit_code=self._worst_exit_code())

    def _worst_exit_code(self) -> ExitCode | None:
        """What outranks the verdict, if anything does."""
        if self.residue or any(isinstance(p, HealError) for p in self.problems):
            return ExitCode.HEALING_INCOMPLETE
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if any(isinstance(p, EngineError) for p in self.problems):
            return ExitCode.ENVIRONMENT
        return None

    def _cost(self, design: str) -> Cost:
        """A design's own instances, and its even part of the shared ones."""
        _, after = self.usage
        containers, cpu_s, memory_bytes = 0, 0.0, 0.0
        for instance in self.deployment.instances:
            if instance.design not in ("", design) or instance.name not in after:
                continue
            part = 1.0 if instance.design else 1 / len(self.deployment.designs)
            containers += 1
            cpu_s += part * self._cpu_s(instance.name)
            memory_bytes += part * after[instance.name].memory_peak_bytes
        operations = sum(op.design == design for op in self.history.ops)
        return Cost(containers, cpu_s, memory_bytes, operations)

    def _cpu_s(self, name: str) -> float:
        """CPU-seconds of an instance during the load; a restart began its count anew."""
        before, after = self.usage
        since = before[name].cpu_s if name in before else 0.0
        return after[name].cpu_s - since if after[name].cpu_s >= since else after[name].cpu_s

    def _observer(self) -> tuple[float, float]:
        """The lab's own part of all CPU spent while the load was on, and how many cores it was."""
        spent = {name: self._cpu_s(name) for name in self.usage[1]}
        total_s = sum(spent.values())
        own_s = sum(cpu_s for name, cpu_s in spent.items() if name.startswith(LAB_PART))
        load_s = self.timings.get("load_s", 0.0)
        return own_s / total_s if total_s else 0.0, own_s / load_s if load_s else 0.0


def watched_metrics(experiment: Experiment) -> set[str]:
    """Names of all scraped metrics that claims, sentences and charts of an experiment read."""
    measures: list[Measure] = []
    for name, design in experiment.designs.items():
        claims = (*design.holds, *design.breaks, *design.pays, *experiment.requires.get(name, ()))
        measures += [claim.measure for claim in claims]
        for piece in parse_sentence(design.why):
            if isinstance(piece, Expression):
                measures += [term for _, term in piece.terms if isinstance(term, Measure)]
    names = {measure.metric for measure in measures if measure.metric}
    return names | {watch.partition("{")[0] for watch in experiment.watch}


def host_facts() -> dict[str, str]:
    """The machine that the numbers were measured on."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }
