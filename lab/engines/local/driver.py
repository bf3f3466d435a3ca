"""A load driver as a process of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.engines.local.pipe import Pipe
from lab.engines.talking import TalkingDriver

MODULE = "lab.load.driver"


class LocalDriver(TalkingDriver):
    """`lab.engines.Driver` over a pipe.

    Args:
        entry: where the client's link listens; here no hosts file says so.
        metrics: where to expose its own metrics.
    """

    def __init__(
        self, design: str, pipe: Pipe, entry: tuple[str, int], metrics: tuple[str, int]
    ) -> None:
        super().__init__(design, pipe)
        self._entry, self._metrics = entry, metrics

    async def send(self, message: Mapping[str, Any]) -> None:
        """Hand one message to the driver; a load is told where things are on this machine."""
        if message["do"] == "load":
            host, port = self._metrics
            here = {"connect_to": self._entry, "metrics_host": host, "metrics_port": port}
            message = {**message, "spec": {**message["spec"], **here}}
        await super().send(message)
