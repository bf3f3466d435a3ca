"""Services and their queues: what waits where, and for what."""

from __future__ import annotations

from dashboards.parts import Chart, Row, dashboard, of, quantile, rate, total

SERVICES = dashboard(
    "chaos-lab-services",
    "Services and queues",
    "Requests, slots, pools and caches of the sample services.",
    [
        Row(
            "Requests",
            [
                Chart(
                    "Answers per second",
                    {
                        "{{instance}} {{status}}": total(
                            "instance, status", rate("http_server_requests_total")
                        )
                    },
                    "reqps",
                    "By HTTP status.",
                    stacked=True,
                ),
                Chart(
                    "Time to answer, p99",
                    {
                        "{{instance}}": quantile(
                            0.99, "instance", "http_server_request_duration_seconds"
                        )
                    },
                    "s",
                    "As the service sees it: without the way to it and the queue before it.",
                    logarithmic=True,
                ),
                Chart(
                    "In the service",
                    {"{{instance}}": of("app_inflight")},
                    "short",
                    "Requests that have arrived and are not answered.",
                ),
                Chart(
                    "Up",
                    {"{{instance}}": of("up", 'job="services",')},
                    "bool_on_off",
                    "Whether the last scrape was answered. Scrapes go past every fault of a link.",
                    states=True,
                ),
            ],
        ),
        Row(
            "Queues",
            [
                Chart(
                    "Slots taken, and waiting for one",
                    {
                        "{{instance}} taken": of("app_slots_busy"),
                        "{{instance}} waiting": of("app_queue_depth"),
                    },
                    "short",
                    "Services with a declared capacity: slots x service time.",
                ),
                Chart(
                    "Turned away, and done for nobody",
                    {
                        "{{instance}} turned away": rate("app_shed_total"),
                        "{{instance}} wasted": rate("app_wasted_work_total"),
                    },
                    "reqps",
                    "Load shedding, and work that was finished after its caller had left.",
                ),
                Chart(
                    "Connections of the pool in use, and waiting for one",
                    {
                        "{{instance}} in use": of("app_pool_in_use"),
                        "{{instance}} waiting": of("app_pool_waiting"),
                    },
                    "short",
                    "A pool is a queue with a size.",
                ),
                Chart(
                    "Wait for a connection, p99",
                    {"{{instance}}": quantile(0.99, "instance", "app_pool_wait_seconds")},
                    "s",
                    "Before the request has even reached the database.",
                    logarithmic=True,
                ),
                Chart(
                    "Look-ups in the cache",
                    {
                        "{{instance}} {{result}}": total(
                            "instance, result", rate("app_cache_requests_total")
                        )
                    },
                    "reqps",
                    "Hits, misses and failures.",
                    stacked=True,
                ),
            ],
        ),
    ],
)
