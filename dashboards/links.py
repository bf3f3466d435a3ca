"""Links and faults: what each link carries, what is dropped, what Toxiproxy does."""

from __future__ import annotations

from dashboards.parts import WIDTH, WINDOW, Chart, Row, dashboard, total

LINKS = dashboard(
    "chaos-lab-links",
    "Links and faults",
    "Every connection between services, and what a fault does to it.",
    [
        Row(
            "Links",
            [
                Chart(
                    "Packets per second",
                    {"{{link}}": f"rate(lab_link_packets_total[{WINDOW}])"},
                    "pps",
                    "Both directions, counted at the link's own address.",
                ),
                Chart(
                    "Bytes per second",
                    {"{{link}}": f"rate(lab_link_bytes_total[{WINDOW}])"},
                    "Bps",
                    "Both directions.",
                ),
                Chart(
                    "Packets dropped per second",
                    {"{{link}}": f"rate(lab_link_dropped_packets_total[{WINDOW}])"},
                    "pps",
                    "By a partition. Few are normal: who gets no answer soon sends little.",
                ),
                Chart(
                    "Faults in effect",
                    {"{{name}}: {{target}}": "lab_fault_active"},
                    "bool_on_off",
                    "From measured effect to measured absence.",
                    states=True,
                ),
            ],
        ),
        Row(
            "Proxy",
            [
                Chart(
                    "Bytes through Toxiproxy per second",
                    {
                        "{{proxy}} {{direction}}": total(
                            "proxy, direction",
                            f"rate(toxiproxy_proxy_received_bytes_total[{WINDOW}])",
                        )
                    },
                    "Bps",
                    "It counts the bytes of a connection when that ends: pools show as peaks.",
                    width=WIDTH,
                ),
            ],
        ),
    ],
)
