"""The clients' metrics for Prometheus, under the names that dashboards use.

lab_client_requests_total{design,op,outcome}   operations finished
lab_client_latency_seconds{design,op}          histogram, from when the operation was due
lab_client_attempts_total{design}              tries, retries among them
lab_client_inflight{design}                    operations not finished
lab_client_saturated_total{design}             operations the driver itself refused
lab_client_schedule_lag_seconds{design}        latest sending within the last second
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from lab.load.recorder import LATENCY_BOUNDS_S, Recorder


class Exposition(Collector):
    """Shows one recorder at a time; `show` swaps it, so one driver can serve several runs."""

    def __init__(self) -> None:
        self._design = ""
        self._recorder: Recorder | None = None
        self._listening: tuple[str, int] | None = None

    def show(self, design: str, recorder: Recorder) -> None:
        """From now on expose this."""
        self._design, self._recorder = design, recorder

    def listen(self, host: str, port: int) -> None:
        """Answer `GET /metrics` there, from a thread of its own.

        Raises:
            OSError: the port is taken.
        """
        if self._listening != (host, port):
            registry = CollectorRegistry()
            registry.register(self)
            ProcessCollector(registry=registry)
            start_http_server(port, host, registry)
            self._listening = (host, port)

    def collect(self) -> Iterable[Metric]:
        """Prometheus: everything, now."""
        recorder = self._recorder
        if recorder is None:
            return
        yield self._requests(recorder)
        yield self._latency(recorder)
        for name, text, value in (
            ("lab_client_attempts", "Tries of operations, retries among them", recorder.attempts),
            ("lab_client_saturated", "Operations the driver refused to send", recorder.saturated),
        ):
            counter = CounterMetricFamily(name, text, labels=("design",))
            counter.add_metric((self._design,), value)
            yield counter
        for name, text, level in (
            ("lab_client_inflight", "Operations not finished", float(recorder.in_flight)),
            (
                "lab_client_schedule_lag_seconds",
                "Latest sending after due within the last second",
                recorder.worst_lag_s,
            ),
        ):
            gauge = GaugeMetricFamily(name, text, labels=("design",))
            gauge.add_metric((self._design,), level)
            yield gauge

    def _requests(self, recorder: Recorder) -> Metric:
        family = CounterMetricFamily(
            "lab_client_requests", "Operations finished", labels=("design", "op", "outcome")
        )
        for (request, outcome), count in sorted(recorder.outcomes.copy().items()):
            family.add_metric((self._design, recorder.names[request], outcome), count)
        return family

    def _latency(self, recorder: Recorder) -> Metric:
        family = HistogramMetricFamily(
            "lab_client_latency_seconds", "From due to done", labels=("design", "op")
        )
        for request, name in enumerate(recorder.names):
            buckets = list(_buckets(recorder.latency_counts[request].copy()))
            family.add_metric((self._design, name), buckets, recorder.latency_sums_s[request])
        return family


def _buckets(counts: list[int]) -> Iterator[tuple[str, float]]:
    for bound, total in zip((*LATENCY_BOUNDS_S, inf), accumulate(counts), strict=True):
        yield "+Inf" if bound == inf else str(bound), total
