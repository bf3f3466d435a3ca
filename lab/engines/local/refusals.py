"""What this engine cannot host, said by name before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lab.engines.local.recipes import notes as notes_on
from lab.engines.local.recipes import why_not
from lab.errors import EngineError
from lab.plan import Deployment
from lab.topology import Service


def refusals(deployment: Deployment) -> list[str]:
    """Why services of a deployment cannot run here; nothing when all can."""
    return _by_service(deployment, why_not)


def refuse(deployment: Deployment) -> None:
    """Refuse a deployment that cannot run here.

    Raises:
        EngineError: with every reason.
    """
    if found := refusals(deployment):
        raise EngineError(
            "the local engine cannot host this:\n  " + "\n  ".join(found),
            remedy="run it with Docker: --engine docker",
        )


def notes(deployment: Deployment) -> list[str]:
    """What holds only in part here and is worth a line."""
    return _by_service(deployment, notes_on)


def _by_service(deployment: Deployment, ask: Callable[[Service], Sequence[str]]) -> list[str]:
    """What is said of any service of any design, each thing once."""
    found = (f"{i.service.name}: {text}" for i in deployment.instances for text in ask(i.service))
    return list(dict.fromkeys(found))
