"""What a run may do and was hardly meant: told before it, as warnings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lab.experiment import Experiment
from lab.loading.hints import nearest


def doubts(experiment: Experiment) -> list[str]:
    """Warnings, in words: an environment variable that a design sets and no Compose file declares.

    A service ignores a name that it does not know, so that a slip of the pen makes two designs the
    same. It is no mistake for sure: images know variables that need no declaring.
    """
    return list(dict.fromkeys(_undeclared(experiment)))


def _undeclared(experiment: Experiment) -> Iterator[str]:
    for name, design in experiment.designs.items():
        for service, variables in design.env.items():
            declared = design.topology.services[service].environment
            for variable in variables:
                if variable in declared:
                    continue
                near = nearest(variable, declared)
                rest = f"did you mean `{near}`?" if near else "if the image knows it, all is well"
                yield (
                    f"design `{name}` sets `{variable}` of `{service}`, which is not under its "
                    f"`environment` in topology `{design.topology.name}`; {rest}"
                )
