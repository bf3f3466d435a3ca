"""A load driver in a container."""

from __future__ import annotations

from lab.engines.docker.channel import Channel
from lab.engines.talking import TalkingDriver


class DockerDriver(TalkingDriver):
    """`lab.engines.Driver` over the standard streams of a container."""

    def __init__(self, design: str, channel: Channel) -> None:
        super().__init__(design, channel)
        self._attached = channel

    def close(self) -> None:
        """Let the driver go; it then ends."""
        self._attached.close()
