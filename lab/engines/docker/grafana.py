"""Grafana beside a run, for those who dig: the project's dashboards on the run's Prometheus.

Optional: the lab itself needs it for nothing. Dashboards, data source and rules are files of the
project's `dashboards/` folder, put into the containers as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import lab
from lab.engines.docker import prometheus
from lab.engines.docker.containers import Config, archive, part_config
from lab.engines.docker.layout import GRAFANA, PROMETHEUS

if TYPE_CHECKING:
    from lab.engines.docker.setting import Setting

IMAGE = "grafana/grafana:12.2.1"
PORT = 3000
FOLDER = Path(lab.__file__).parent.parent / "dashboards"
_PROVISIONING = "/etc/grafana/provisioning"
_JSON = "/var/lib/grafana/dashboards"
_ENVIRONMENT = {
    "GF_AUTH_ANONYMOUS_ENABLED": "true",
    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
    # Its smallest refresh is 5 s unless told otherwise; a fault may be over by then.
    "GF_DASHBOARDS_MIN_REFRESH_INTERVAL": "1s",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{_JSON}/overview.json",
    # No request leaves this machine.
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
}


def rules() -> bytes | None:
    """The recording and alert rules; None in an installation without the project's files."""
    path = FOLDER / "prometheus" / "rules.yaml"
    return path.read_bytes() if path.exists() else None


def config(setting: Setting, host: Config) -> Config:
    """The container's description; `host` says how it is reached."""
    address = setting.layout.containers[PROMETHEUS]
    return {
        **part_config(
            setting.images[IMAGE],
            "grafana",
            setting.labels,
            env={**_ENVIRONMENT, "PROMETHEUS_URL": f"http://{address}:{prometheus.PORT}"},
            host={**host, "NetworkMode": setting.network},
        ),
        "ExposedPorts": {f"{PORT}/tcp": {}},
        **setting.joins(GRAFANA),
    }


def files() -> bytes:
    """Provisioning and dashboards, as a tar to be unpacked at `/`."""
    provisioning = FOLDER / "grafana" / "provisioning"
    made = {
        f"{_PROVISIONING}/{path.relative_to(provisioning).as_posix()}": path
        for path in sorted(provisioning.rglob("*.yaml"))
    }
    made |= {
        f"{_JSON}/{path.name}": path
        for path in sorted((FOLDER / "grafana" / "json").glob("*.json"))
    }
    return archive(made)
