"""The collector as the engine sees it: a child process with samples."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from lab.engines.local.collector.target import Target
from lab.engines.local.pipe import Pipe
from lab.history import Sample

INTERVAL_S = 1.0
KEEP_S = 3600.0
"""How long samples are kept, so that a topology that stays up does not fill the memory."""


class Collector:
    """One collector process; it ends with us."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.pid = pipe.pid

    @classmethod
    async def start(cls, log: Path | None) -> Collector:
        """Start one that scrapes nothing yet; it writes to `log` who is up and who is not.

        Raises:
            EngineError: it cannot be started.
        """
        return cls(await Pipe.start("collector", "lab.engines.local.collector", log))

    async def scrape(
        self, targets: Sequence[Target], interval_s: float = INTERVAL_S, keep_s: float = KEEP_S
    ) -> None:
        """Scrape these from now on, and no others; what was scraped before stays.

        Raises:
            EngineError: a target makes no sense, or the collector has ended (all methods).
        """
        wanted = [target.to_json() for target in targets]
        await self.pipe.ask("scrape", targets=wanted, interval_s=interval_s, keep_s=keep_s)

    async def publish(self, exposition: str) -> None:
        """Hand over the lab's own metrics, in Prometheus' text format."""
        await self.pipe.ask("publish", text=exposition)

    async def samples(
        self, start_unix_s: float, end_unix_s: float, names: Collection[str]
    ) -> list[Sample]:
        """The raw scraped values, with the time of their scrape, in order of time."""
        if not names:
            return []
        found = await self.pipe.ask(
            "samples", start_unix_s=start_unix_s, end_unix_s=end_unix_s, names=sorted(names)
        )
        samples = [
            Sample(at_s, design, instance, name, tuple((k, v) for k, v in labels), value)
            for name, design, instance, labels, times, values in found
            for at_s, value in zip(times, values, strict=True)
        ]
        return sorted(samples, key=lambda sample: sample.at_s)

    async def read(self, instance: str) -> str:
        """What one of the targets says now, in Prometheus' text format."""
        return str(await self.pipe.ask("read", instance=instance))

    async def serve(self, host: str, port: int = 0) -> tuple[str, int]:
        """Offer its translations over HTTP to a real Prometheus; returns where."""
        at = await self.pipe.ask("serve", host=host, port=port)
        return at[0], at[1]

    async def cpu_s(self) -> float:
        """CPU seconds that it has used, for the observer's share."""
        return float((await self.pipe.ask("usage"))["cpu_s"])

    async def close(self) -> None:
        """Let it end."""
        await self.pipe.close()
