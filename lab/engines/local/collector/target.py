"""What to scrape, and which labels its samples get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

TIMEOUT_S = 1.0
"""How long one scrape may take; later than that, the target is not up."""

Kind = Literal["prometheus", "postgres", "redis", "nats"]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to scrape.

    `host` and `port` are where it really listens. `kind` is `prometheus` for one that speaks the
    text format on `path`, else the protocol that the collector translates from. `honor_labels` is
    Prometheus' own: labels of the scraped text win over ours, as for the lab's own parts.
    """

    instance: str
    host: str
    port: int
    kind: Kind = "prometheus"
    path: str = "/metrics"
    design: str = ""
    service: str = ""
    user: str = ""
    password: str = ""
    database: str = ""
    honor_labels: bool = False

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every sample of this target; without empty ones, which mean no label."""
        labels = {"instance": self.instance, "design": self.design, "service": self.service}
        labels["job"] = "lab" if self.honor_labels else "services"
        return {name: value for name, value in labels.items() if value}

    def labelled(self, scraped: Mapping[str, str]) -> dict[str, str]:
        """A scraped sample's labels together with the target's, by Prometheus' rules."""
        merged = {name: value for name, value in scraped.items() if value}
        for name, value in self.labels.items():
            if name in merged:
                if self.honor_labels:
                    continue
                free = f"exported_{name}"
                while free in merged:
                    free = f"exported_{free}"
                merged[free] = merged[name]
            merged[name] = value
        return merged

    def to_json(self) -> dict[str, Any]:
        """As it travels to the collector."""
        return asdict(self)
