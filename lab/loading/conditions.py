"""What the conditions of faults name: is it there, and can it tell? Pure, no positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.conditions import BEGINS, STAGES, Condition
from lab.loading.checks import Mistake, with_replicas
from lab.loading.hints import did_you_mean
from lab.plan import Deployment, deploy_topology
from lab.topology import Service, Topology


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What conditions may name. `services` holds replicas (`app-1`) too; `designs` are deployed."""

    faults: tuple[str, ...]
    phases: tuple[str, ...]
    services: Mapping[str, Service]
    designs: Mapping[str, Deployment]

    @classmethod
    def of(
        cls,
        faults: Iterable[str],
        phases: Iterable[str],
        designs: Mapping[str, tuple[Topology, Mapping[str, int]]],
    ) -> Surroundings:
        """With each design's topology and its own numbers of replicas."""
        deployed = {d: deploy_topology(with_replicas(*design)) for d, design in designs.items()}
        services: dict[str, Service] = {}
        for deployment in deployed.values():
            for instance in deployment.instances:
                for name in (instance.service.name, instance.host):
                    services.setdefault(name, instance.service)
        return cls(tuple(faults), tuple(phases), services, deployed)


def condition_mistakes(
    condition: Condition, own: str, fault: Any, around: Surroundings
) -> Iterator[Mistake]:
    """What a condition of the `fault` called `own` names that is not there, or says nothing."""
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
            yield from _lacking_mistakes(subject, fault, around)
        elif subject in around.faults:
            yield Mistake(f"a fault has no stage `{word}`", did_you_mean(word, STAGES), word)
        elif subject in around.phases:
            yield Mistake(f"a phase has no `{word}`", f"write {subject}.{BEGINS}", word)
        else:
            names = [*around.services, *around.faults, *around.phases]
            message = f"there is no service, fault or phase `{subject}`"
            yield Mistake(message, did_you_mean(subject, names), subject)


def _lacking_mistakes(subject: str, fault: Any, around: Surroundings) -> Iterator[Mistake]:
    """Each design that is broken has what it waits for: what designs share waits for any."""
    targets = getattr(fault, "targets", lambda _: ())
    for design, deployment in around.designs.items():
        own = {i.name for i in deployment.instances if i.design}
        own |= {end.name for end in deployment.ends if end.design}
        if not own.isdisjoint(targets(deployment)) and not deployment.instances_of(subject):
            message = f"design `{design}` has no `{subject}`, so it would wait for ever there"
            yield Mistake(message, "name what every design has that this breaks", subject)


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
