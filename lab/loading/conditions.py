"""What the conditions of faults name: is it there, and can it tell? Pure, no positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lab.conditions import BEGINS, STAGES, Condition
from lab.loading.checks import Mistake
from lab.loading.hints import did_you_mean
from lab.topology import Service, Topology


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What conditions may name. `services` holds replicas (`app-1`) too."""

    faults: tuple[str, ...]
    phases: tuple[str, ...]
    services: Mapping[str, Service]

    @classmethod
    def of(
        cls,
        faults: Iterable[str],
        phases: Iterable[str],
        topologies: Iterable[tuple[Topology, Mapping[str, int]]],
    ) -> Surroundings:
        """With each design's topology and its own numbers of replicas."""
        services: dict[str, Service] = {}
        for topology, replicas in topologies:
            for service in topology.services.values():
                count = replicas.get(service.name, service.replicas)
                numbers = range(1, count + 1)
                for name in (service.name, *(f"{service.name}-{n}" for n in numbers)):
                    services.setdefault(name, service)
        return cls(tuple(faults), tuple(phases), services)


def condition_mistakes(condition: Condition, own: str, around: Surroundings) -> Iterator[Mistake]:
    """What a condition of the fault called `own` names that is not there, or says nothing."""
    subject, word = condition.subject, condition.word
    sort = condition.sort(around.faults, around.phases)
    if sort == "stage":
        if subject == own:
            message = f"`{subject}` would wait for itself"
            yield Mistake(message, "name another fault, or an event", subject)
    elif sort == "metric":
        yield from _metric_mistakes(subject, around)
    elif sort == "event":
        if subject in around.services:
            yield from _telling_mistakes(subject, around.services[subject])
        elif subject in around.faults:
            yield Mistake(f"a fault has no stage `{word}`", did_you_mean(word, STAGES), word)
        elif subject in around.phases:
            yield Mistake(f"a phase has no `{word}`", f"write {subject}.{BEGINS}", word)
        else:
            names = [*around.services, *around.faults, *around.phases]
            message = f"there is no service, fault or phase `{subject}`"
            yield Mistake(message, did_you_mean(subject, names), subject)


def _metric_mistakes(subject: str, around: Surroundings) -> Iterator[Mistake]:
    if subject and subject not in around.services:
        message = f"there is no service `{subject}`"
        yield Mistake(message, did_you_mean(subject, around.services), subject)
    elif subject and around.services[subject].scrape is None:
        message = f"`{subject}` has no metrics"
        yield Mistake(message, "name its port in x-lab.metrics", subject)


def _telling_mistakes(name: str, service: Service) -> Iterator[Mistake]:
    """Events come from the port of a service's own metrics."""
    if service.scrape is None or service.scrape.exporter:
        message = f"`{name}` cannot report events: it has no metrics port of its own"
        yield Mistake(message, "name one in x-lab.metrics, and see docs/failpoints.md", name)
