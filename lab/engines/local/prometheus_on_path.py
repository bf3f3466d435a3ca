"""A real Prometheus beside the collector, where this machine has one: for PromQL and Grafana.

It scrapes what the collector scrapes, under the same labels. Servers that do not speak its format
it reads through the collector, which translates.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.engines.local.collector.target import Target
from lab.engines.local.program import Program

NAME = "lab/prometheus"
_EVERY = {"scrape_interval": "1s", "scrape_timeout": "1s"}


def find() -> Path | None:
    """The `prometheus` on the PATH."""
    found = shutil.which("prometheus")
    return Path(found) if found else None


def program(
    binary: Path,
    home: Path,
    targets: Sequence[Target],
    *,
    translations: tuple[str, int],
    listen: tuple[str, int],
) -> Program:
    """A Prometheus that scrapes these; its configuration is written into `home`.

    Args:
        binary: the program.
        home: an empty folder of its own.
        targets: what the collector scrapes.
        translations: where the collector serves (`Collector.serve`).
        listen: where Prometheus is to listen; it answers `GET /-/ready` with 200 once it is up.
    """
    path = home / "prometheus.yml"
    path.write_text(config(targets, translations=translations, listen=listen))
    argv = (
        str(binary),
        f"--config.file={path}",
        f"--storage.tsdb.path={home / 'data'}",
        "--storage.tsdb.retention.time=1d",
        f"--web.listen-address={_written(listen)}",
    )
    return Program(argv, {}, home)


def config(
    targets: Sequence[Target], *, translations: tuple[str, int], listen: tuple[str, int]
) -> str:
    """prometheus.yml, as JSON, which is YAML."""
    services = [_entry(t, translations) for t in targets if not t.honor_labels]
    lab = [_entry(t, translations) for t in targets if t.honor_labels]
    lab.append({"targets": [_written(translations)], "labels": {"instance": "lab"}})
    lab.append({"targets": [_written(listen)], "labels": {"instance": NAME}})
    jobs = [
        {"job_name": "services", "static_configs": services},
        # The lab's own metrics say themselves which design they are about.
        {"job_name": "lab", "honor_labels": True, "static_configs": lab},
    ]
    return json.dumps({"global": _EVERY, "scrape_configs": jobs}, indent=1)


def _entry(target: Target, translations: tuple[str, int]) -> dict[str, Any]:
    labels = {k: v for k, v in target.labels.items() if k != "job"}
    if target.kind == "prometheus":
        labels["__metrics_path__"] = target.path
        return {"targets": [target.address], "labels": labels}
    labels |= {"__metrics_path__": "/probe", "__param_instance": target.instance}
    return {"targets": [_written(translations)], "labels": labels}


def _written(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
