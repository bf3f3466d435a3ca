"""From files to values: Compose files to topologies, experiment files to experiments.

Every mistake in a file is found in one go and carries file, line, column and what to write instead.
"""

from __future__ import annotations

from lab.loading.compose import load_topology
from lab.loading.doubts import doubts
from lab.loading.experiment import load_experiment
from lab.loading.find import find_experiment, find_topology, list_experiments, list_topologies

__all__ = [
    "doubts",
    "find_experiment",
    "find_topology",
    "list_experiments",
    "list_topologies",
    "load_experiment",
    "load_topology",
]
