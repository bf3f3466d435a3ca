"""What users see: answers, latency, how many wait; and what the lab does meanwhile."""

from __future__ import annotations

from dashboards.parts import COLOURS, Chart, Row, dashboard, of, quantile, rate, total

_LATENCY = "lab_client_latency_seconds"
_REQUESTS = "lab_client_requests_total"

OVERVIEW = dashboard(
    "chaos-lab-overview",
    "Overview",
    "Every design of a run on the same axes: which one fails, since when, and how much is left.",
    [
        Row(
            "What users see",
            [
                Chart(
                    "Latency, p99",
                    {"{{design}} p99": quantile(0.99, "design", _LATENCY)},
                    "s",
                    "From the moment a request was due, so that a stalled system cannot hide its "
                    "queue. From the driver's buckets; the run's report has exact values.",
                    logarithmic=True,
                ),
                Chart(
                    "Latency, p50",
                    {"{{design}} p50": quantile(0.5, "design", _LATENCY)},
                    "s",
                    "Half of the requests took longer.",
                    logarithmic=True,
                ),
                Chart(
                    "Outcomes",
                    {"{{design}} {{outcome}}": total("design, outcome", rate(_REQUESTS))},
                    "reqps",
                    "ok; fail: certainly did not happen; info: nobody knows whether it did.",
                    stacked=True,
                    colours=COLOURS,
                ),
                Chart(
                    "Share of requests that went wrong",
                    {
                        "{{design}}": "1 - "
                        + total("design", rate(_REQUESTS, 'outcome="ok",'))
                        + " / "
                        + total("design", rate(_REQUESTS))
                    },
                    "percentunit",
                    "fail and info together.",
                ),
                Chart(
                    "Waiting for an answer",
                    {"{{design}}": of("lab_client_inflight")},
                    "short",
                    "Requests that were sent and have no answer yet.",
                ),
                Chart(
                    "Tries per second, retries among them",
                    {"{{design}}": rate("lab_client_attempts_total")},
                    "reqps",
                    "More than the rate of requests is what clients add by trying again.",
                ),
            ],
        ),
        Row(
            "The run",
            [
                Chart(
                    "Faults in effect",
                    {"{{name}}: {{target}}": "lab_fault_active"},
                    "bool_on_off",
                    "From the moment it was measured to bite until it was measured to be gone.",
                    states=True,
                ),
                Chart(
                    "Phase",
                    {"{{phase}}": "lab_phase"},
                    "bool_on_off",
                    "Phases of the experiment's timeline.",
                    states=True,
                ),
                Chart(
                    "Late sending",
                    {"{{design}}": of("lab_client_schedule_lag_seconds")},
                    "s",
                    "How late the driver itself was, at most, in the last second. With a p99 above "
                    "50 ms the run proves nothing.",
                ),
                Chart(
                    "Not sent: too many in flight",
                    {"{{design}}": rate("lab_client_saturated_total")},
                    "reqps",
                    "What the driver refused to send. Above zero the run proves nothing.",
                ),
            ],
        ),
    ],
)
