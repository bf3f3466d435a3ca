"""NATS' `/varz`, under the names of prometheus-nats-exporter."""

from __future__ import annotations

import json

from lab.engines.local.collector.fetch import HttpSource
from lab.engines.local.collector.target import Target
from lab.engines.local.collector.text import line

_TEXTS = ("server_id", "server_name", "version")


class NatsSource:
    """The monitoring port of one NATS server."""

    def __init__(self, target: Target) -> None:
        self._http = HttpSource(target.host, target.port, "/varz")

    async def read(self) -> bytes:
        """Every number of `/varz`, and who it is as labels of ones.

        Raises:
            OSError, HttpError: it does not answer.
            ValueError: this is not `/varz`.
        """
        found = json.loads(await self._http.read())
        if not isinstance(found, dict) or "server_id" not in found:
            raise ValueError("this is not the monitoring port of a NATS server")
        server = {"server_id": str(found["server_id"])}
        lines = []
        for key, value in found.items():
            name = f"gnatsd_varz_{key}"
            if key in _TEXTS:
                lines.append(line(name, {**server, "value": str(value)}, 1))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                lines.append(line(name, server, value))
        return "\n".join(lines).encode() + b"\n"

    def close(self) -> None:
        """Let go of the connection at once."""
        self._http.close()
