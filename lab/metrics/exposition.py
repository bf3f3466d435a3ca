"""What the lab itself tells Prometheus: the phase, the active faults, what links carry.

| metric | labels | value |
|---|---|---|
| `lab_run_info` | run, experiment, engine | 1 |
| `lab_phase` | phase | 1 while the phase lasts, else 0 |
| `lab_fault_active` | name, kind, target | 1 from proved injection to proved healing, else 0 |
| `lab_link_packets_total` | link | packets that a link carried, both directions |
| `lab_link_bytes_total` | link | bytes that a link carried, both directions |
| `lab_link_dropped_packets_total` | link | packets that a partition dropped |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from lab.engines import Traffic
from lab.experiment import Experiment


class LabMetrics:
    """The registry of one run; `exposition()` is handed to the cluster, which serves it."""

    def __init__(self, experiment: Experiment, run_id: str, engine: str) -> None:
        self._registry = CollectorRegistry()
        info = Gauge(
            "lab_run_info", "The run.", ["run", "experiment", "engine"], registry=self._registry
        )
        info.labels(run_id, experiment.name, engine).set(1)
        self._phase = Gauge(
            "lab_phase", "1 while a phase lasts.", ["phase"], registry=self._registry
        )
        for phase in experiment.phases:
            self._phase.labels(phase.name).set(0)
        self._fault = Gauge(
            "lab_fault_active",
            "1 while a fault is in effect on a target.",
            ["name", "kind", "target"],
            registry=self._registry,
        )
        self._links = _Links()
        self._registry.register(self._links)

    def phase(self, name: str) -> None:
        """This phase lasts now, no other does."""
        for metric in self._phase.collect():
            for sample in metric.samples:
                self._phase.labels(sample.labels["phase"]).set(sample.labels["phase"] == name)

    def fault(self, name: str, kind: str, targets: Iterable[str], *, active: bool) -> None:
        """A fault is in effect on these targets, or no longer."""
        for target in targets:
            self._fault.labels(name, kind, target).set(active)

    def traffic(self, by_link: Mapping[str, Traffic]) -> None:
        """What links carried since they exist."""
        self._links.by_link = by_link

    def exposition(self) -> str:
        """Prometheus text format."""
        return generate_latest(self._registry).decode()


class _Links(Collector):
    """Counters read elsewhere, so they are handed through as they are and never reset here."""

    def __init__(self) -> None:
        self.by_link: Mapping[str, Traffic] = {}

    def collect(self) -> Iterable[CounterMetricFamily]:
        packets = CounterMetricFamily(
            "lab_link_packets", "Packets a link carried.", labels=["link"]
        )
        octets = CounterMetricFamily("lab_link_bytes", "Bytes a link carried.", labels=["link"])
        dropped = CounterMetricFamily(
            "lab_link_dropped_packets", "Packets dropped by a partition.", labels=["link"]
        )
        for link, traffic in self.by_link.items():
            packets.add_metric([link], traffic.packets)
            octets.add_metric([link], traffic.bytes)
            dropped.add_metric([link], traffic.dropped_packets)
        return (packets, octets, dropped)
