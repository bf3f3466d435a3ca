"""The metrics that every service offers; others are defined beside what they count.

Counters of one name mean the same in every service, so one chart can compare designs.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A `_created` series beside every counter would double what is scraped each second.
disable_created_metrics()

REQUESTS = Counter("http_server_requests", "Requests answered.", ["route", "status"])
DURATION = Histogram(
    "http_server_request_duration_seconds",
    "From the arrival of a request to its answer, waiting included.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
INFLIGHT = Gauge("app_inflight", "Requests that have arrived and are not answered yet.")
