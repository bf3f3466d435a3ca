"""One dashboard per component: PostgreSQL, Valkey or Redis, HAProxy."""

from __future__ import annotations

from dashboards.parts import Chart, Row, dashboard, highest, of, rate, total

POSTGRES = dashboard(
    "chaos-lab-postgres",
    "PostgreSQL",
    "Connections, transactions, locks and replication of every PostgreSQL of a run.",
    [
        Row(
            "Connections",
            [
                Chart(
                    "Connections by state",
                    {
                        "{{instance}} {{state}}": total(
                            "instance, state", of("pg_stat_activity_count")
                        )
                    },
                    "short",
                    "`idle in transaction` holds locks and does nothing.",
                    stacked=True,
                ),
                Chart(
                    "Longest transaction",
                    {"{{instance}}": highest("instance", "pg_stat_activity_max_tx_duration")},
                    "s",
                    "It keeps vacuum from cleaning up, and others from its locks.",
                ),
            ],
        ),
        Row(
            "Work",
            [
                Chart(
                    "Transactions per second",
                    {
                        "{{instance}} committed": total(
                            "instance", rate("pg_stat_database_xact_commit")
                        ),
                        "{{instance}} rolled back": total(
                            "instance", rate("pg_stat_database_xact_rollback")
                        ),
                    },
                    "ops",
                    "The exporter's own among them, about one a second.",
                ),
                Chart(
                    "Rows per second",
                    {
                        "{{instance}} read": total(
                            "instance", rate("pg_stat_database_tup_fetched")
                        ),
                        "{{instance}} written": total(
                            "instance", rate("pg_stat_database_tup_inserted")
                        ),
                    },
                    "rowsps",
                    "Fetched by index, and inserted.",
                ),
                Chart(
                    "Locks held",
                    {"{{instance}} {{mode}}": total("instance, mode", of("pg_locks_count"))},
                    "short",
                    "By mode.",
                ),
                Chart(
                    "Deadlocks",
                    {"{{instance}}": total("instance", rate("pg_stat_database_deadlocks"))},
                    "ops",
                    "Transactions that the database ended because they waited for each other.",
                ),
            ],
        ),
        Row(
            "Replication",
            [
                Chart(
                    "Standby",
                    {"{{instance}}": of("pg_replication_is_replica")},
                    "bool_on_off",
                    "Whether it takes its data from another one.",
                    states=True,
                ),
                Chart(
                    "Lag of standbys",
                    {"{{instance}}": of("pg_replication_lag_seconds")},
                    "s",
                    "Since the last transaction that was replayed; 0 on a primary.",
                ),
            ],
        ),
    ],
)

VALKEY = dashboard(
    "chaos-lab-valkey",
    "Valkey and Redis",
    "Commands, hits, memory and clients of every Valkey or Redis of a run.",
    [
        Row(
            "Work",
            [
                Chart(
                    "Commands per second",
                    {"{{instance}}": rate("redis_commands_processed_total")},
                    "ops",
                    "All of them.",
                ),
                Chart(
                    "Hits and misses",
                    {
                        "{{instance}} hits": rate("redis_keyspace_hits_total"),
                        "{{instance}} misses": rate("redis_keyspace_misses_total"),
                    },
                    "ops",
                    "A cache that has just been restarted misses everything.",
                ),
                Chart(
                    "Clients",
                    {
                        "{{instance}} connected": of("redis_connected_clients"),
                        "{{instance}} blocked": of("redis_blocked_clients"),
                    },
                    "short",
                    "Connected, and waiting in a blocking command.",
                ),
                Chart(
                    "Memory",
                    {"{{instance}}": of("redis_memory_used_bytes")},
                    "bytes",
                    "What its data and buffers take.",
                ),
            ],
        ),
        Row(
            "State",
            [
                Chart(
                    "Up",
                    {"{{instance}}": of("redis_up")},
                    "bool_on_off",
                    "Whether it answers its exporter.",
                    states=True,
                ),
                Chart(
                    "Keys that ran out of time, or of room",
                    {
                        "{{instance}} expired": rate("redis_expired_keys_total"),
                        "{{instance}} evicted": rate("redis_evicted_keys_total"),
                    },
                    "ops",
                    "Evicted: thrown out for lack of memory.",
                ),
            ],
        ),
    ],
)

HAPROXY = dashboard(
    "chaos-lab-haproxy",
    "Load balancer (HAProxy)",
    "Which servers are in rotation, what each gets, and what the balancer had to give up.",
    [
        Row(
            "Servers",
            [
                Chart(
                    "Servers in rotation",
                    {
                        "{{instance}} {{proxy}}": of("haproxy_backend_active_servers"),
                    },
                    "short",
                    "How many the balancer believes in.",
                ),
                Chart(
                    "Requests per server and second",
                    {
                        "{{instance}} {{server}}": total(
                            "instance, server", rate("haproxy_server_http_responses_total")
                        )
                    },
                    "reqps",
                    "A sick server that answers quickly gets as many as a healthy one.",
                ),
                Chart(
                    "Failed checks",
                    {
                        "{{instance}} {{proxy}}/{{server}}": rate(
                            "haproxy_server_check_failures_total"
                        )
                    },
                    "ops",
                    "Of each server that is checked at all.",
                ),
                Chart(
                    "Time to a server's answer",
                    {
                        "{{instance}} {{server}}": highest(
                            "instance, server", "haproxy_server_response_time_average_seconds"
                        )
                    },
                    "s",
                    "Mean of the last 1024 requests.",
                ),
            ],
        ),
        Row(
            "Balancer",
            [
                Chart(
                    "Answers per second by status",
                    {
                        "{{instance}} {{code}}": total(
                            "instance, code", rate("haproxy_frontend_http_responses_total")
                        )
                    },
                    "reqps",
                    "As users got them.",
                    stacked=True,
                ),
                Chart(
                    "Waiting in the balancer",
                    {
                        "{{instance}} {{proxy}}": total(
                            "instance, proxy", of("haproxy_backend_current_queue")
                        )
                    },
                    "short",
                    "Requests without a server yet.",
                ),
                Chart(
                    "Errors towards servers",
                    {
                        "{{instance}} connecting": total(
                            "instance", rate("haproxy_backend_connection_errors_total")
                        ),
                        "{{instance}} answering": total(
                            "instance", rate("haproxy_backend_response_errors_total")
                        ),
                    },
                    "ops",
                    "Connections that failed, and answers that were cut or broken.",
                ),
                Chart(
                    "Tried again",
                    {
                        "{{instance}}": total(
                            "instance", rate("haproxy_backend_retry_warnings_total")
                        )
                    },
                    "ops",
                    "Connections that were retried.",
                ),
            ],
        ),
    ],
)
