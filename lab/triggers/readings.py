"""A metric as services tell it now, over the instances of a design."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence

from prometheus_client.parser import text_string_to_metric_families

from lab.conditions import Condition
from lab.engines import Cluster, Scrapable
from lab.errors import EngineError
from lab.plan import Instance

EVERY_S = 0.2
"""Between two looks. A Python service needs 2 ms to tell all its metrics."""

_ANSWER_S = 1.0
"""One that takes longer is stopped, or down."""

Labels = tuple[tuple[str, str], ...]


async def reading(
    cluster: Cluster, condition: Condition, instances: Sequence[Instance]
) -> float | None:
    """The metric now: the sum, the largest or the smallest of its series; None without any.

    Each instance is asked itself, or its exporter, past every fault; one that does not answer
    counts as having none.

    Raises:
        EngineError: this engine cannot ask.
    """
    if not isinstance(cluster, Scrapable):
        raise EngineError(f"the {cluster.engine} engine cannot ask for metrics in between")
    told = await asyncio.gather(*(_told(cluster, instance) for instance in instances))
    values = [value for text in told for value in _values(text, condition)]
    if not values:
        return None
    match condition.reduce:
        case "max":
            return max(values)
        case "min":
            return min(values)
    return math.fsum(values)


async def _told(cluster: Scrapable, instance: Instance) -> str:
    """All its metrics; nothing while it does not answer."""
    try:
        return await cluster.scrape(instance, _ANSWER_S)
    except EngineError:
        return ""


def _values(text: str, condition: Condition) -> Iterator[float]:
    """The values of a metric's series; only its own lines are parsed, of what may be thousands."""
    name = condition.metric
    lines = [line for line in text.splitlines() if line.startswith(name)]
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            labels = tuple(sample.labels.items())
            if sample.name == name and _has(labels, condition.selector):
                yield sample.value


def _has(labels: Labels, selector: Labels) -> bool:
    own = dict(labels)
    return all(own.get(name) == value for name, value in selector)
