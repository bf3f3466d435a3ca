"""From an experiment to the SPEC of one design's driver; pure."""

from __future__ import annotations

from typing import Any

from lab.experiment import Experiment, Load, Request
from lab.load.settings import IN_FLIGHT_MAX

METRICS_PORT = 9464
"""Where a driver exposes its metrics (the usual port of OpenTelemetry's Prometheus exporters)."""


def driver_spec(experiment: Experiment, design_name: str, seed: int) -> dict[str, Any]:
    """Everything that design's driver must know, as JSON values.

    Random streams hang on the seed and the load alone, so designs with one load get the same
    arrivals, keys and mix.

    Raises:
        KeyError: there is no such design.
    """
    design = experiment.designs[design_name]
    load, entry = design.load, design.topology.entry
    return {
        "design": design_name,
        "seed": seed,
        "host": entry.server,
        "port": entry.port,
        "loop": load.loop,
        "users": load.users,
        "think_s": load.think,
        "arrivals": load.arrivals,
        "stages": _stages(load, experiment.duration_s),
        "duration_s": experiment.duration_s,
        "requests": [_request(request) for request in load.requests],
        "timeout_s": load.timeout,
        "retry": {
            "attempts": load.retry.attempts,
            "budget": load.retry.budget,
            "backoff_s": load.retry.backoff,
            "backoff_max_s": load.retry.backoff_max,
            "jitter": load.retry.jitter,
        },
        "connections": load.connections,
        "in_flight_max": IN_FLIGHT_MAX,
        "metrics_port": METRICS_PORT,
    }


def _stages(load: Load, duration_s: float) -> list[dict[str, float]]:
    """The stages as written; where they end before the timeline, the last rate goes on."""
    stages = [
        {
            "from_per_s": stage.rate,
            "to_per_s": stage.rate if stage.to is None else stage.to,
            "for_s": stage.seconds,
        }
        for stage in load.stages
    ]
    rate_per_s = stages[-1]["to_per_s"] if stages else load.rate
    left_s = duration_s - sum(stage["for_s"] for stage in stages)
    if rate_per_s is not None and left_s > 0:
        stages.append({"from_per_s": rate_per_s, "to_per_s": rate_per_s, "for_s": left_s})
    return stages


def _request(request: Request) -> dict[str, Any]:
    return {
        "name": request.name,
        "method": request.method,
        "path": request.path,
        "weight": request.weight,
        "keys": request.keys.model_dump() if request.keys else None,
        "body": request.body,
        "headers": dict(request.headers),
    }
