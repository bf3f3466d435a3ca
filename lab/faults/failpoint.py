"""`failpoint`: a service fails at a line of its own code that it has marked with a name.

    armed … the service reaches `await failpoint("after_charge")` … struck

What no fault from outside can time: a crash between charging a card and writing that down, a long
pause just after a lock was taken. It has bitten when the point has struck, which needs load that
gets there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, model_validator

from lab.engines import Armable, Cluster, Killable, Point, State
from lab.errors import EngineError
from lab.faults.base import Observation, ServiceFault
from lab.plan import Instance
from lab.units import Seconds, Share, format_duration, format_share, times

_ANSWERS_S = 1.0
"""A process that has not stopped answers sooner, also on a busy machine."""

_COUNTS = ("reached", "struck", "held")

_WORDS = {
    "die": "dies",
    "stop": "stops",
    "error": "raises an error",
    "delay": "waits",
    "hold": "is held",
}


class Failpoint(ServiceFault):
    """A service dies, stops, fails, waits or is held at a point that it has marked in its code.

    `die` ends its process as SIGKILL does, `stop` freezes it (SIGSTOP), `error` raises an exception
    there, `delay` waits `delay`, `hold` until the fault ends. The service offers its points as
    docs/failpoints.md says.
    """

    kind: ClassVar[str] = "failpoint"
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"service": "inventory", "point": "reserving", "do": "die"}]
        }
    )
    needs: ClassVar[tuple[type, ...]] = (Armable, Killable)

    point: str = Field(
        pattern=r"^[A-Za-z]\w*$",
        description="the name of the point in the service's code",
        examples=["reserving", "request"],
    )
    do: Literal["die", "stop", "error", "delay", "hold"] = Field(
        description="what happens there", examples=["die"]
    )
    delay: Seconds | None = Field(default=None, description="with `do: delay`: how long")
    count: int | None = Field(
        default=None,
        ge=1,
        description="how often, on each instance; nothing: every time (`die` and `stop`: once)",
    )
    share: Share = Field(default=1.0, gt=0, description="how many of those that pass are struck")
    seed: int = Field(default=1, description="which of them: the same seed, the same ones")

    _lives: dict[str, str] = PrivateAttr(default_factory=dict)
    """Of armed instances, the life in which they were; a restarted one has another."""

    @model_validator(mode="after")
    def _delays(self) -> Self:
        if self.do == "delay" and self.delay is None:
            raise ValueError("`do: delay` does not say how long: write delay: 500ms beside it")
        if self.do != "delay" and self.delay is not None:
            raise ValueError(f"`delay` has no effect with `do: {self.do}`: write do: delay")
        if self.count and self.do in ("die", "stop"):
            raise ValueError(f"`{self.do}` strikes once; `count` goes with error, delay and hold")
        return self

    def describe(self) -> str:
        """`worker dies at after_charge`."""
        word = _WORDS[self.do] + (f" {format_duration(self.delay)}" if self.delay else "")
        share = f", {format_share(self.share)} of the times" if self.share < 1 else ""
        often = f", {times(self.count)}" if self.count and self.count > 1 else ""
        return f"{self.service} {word} at {self.point}{often}{share}"

    async def inject(self, cluster: Cluster) -> None:
        """Arm the point; what is armed already stays as it is."""
        await asyncio.gather(*(self._arm(cluster, i) for i in self.instances(cluster.deployment)))

    async def heal(self, cluster: Cluster) -> None:
        """Disarm it, let go on what is held or stopped, and start what has died of it.

        One that does not answer is crashed and started: in its next life nothing is armed.
        """
        await asyncio.gather(*(self._mend(cluster, i) for i in self.instances(cluster.deployment)))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect once it has struck in every design, by the service's own count.

        For `die` the engine must say that the process has ended, for `stop` it answers no more.
        """
        instances = self.instances(cluster.deployment)
        seen = await asyncio.gather(*(self._look(cluster, i) for i in instances))
        designs: dict[str, bool] = {}
        for instance, (struck, _, _) in zip(instances, seen, strict=True):
            designs[instance.design] = designs.get(instance.design, False) or struck
        return Observation(
            in_effect=bool(designs) and all(designs.values()),
            gone=bool(seen) and all(gone for _, gone, _ in seen),
            text=_in_words([how for _, _, how in seen]),
        )

    async def _arm(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Armable)  # noqa: S101 - `needs` was checked before
        if instance.name in self._lives:
            return
        settings = {"do": self.do, "share": f"{self.share:g}", "seed": str(self.seed)}
        if self.count:
            settings["count"] = str(self.count)
        if self.delay is not None:
            settings["delay_s"] = f"{self.delay:g}"
        armed = await cluster.arm(instance, self.point, settings)
        self._lives[instance.name] = armed.life

    async def _mend(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Armable)  # noqa: S101 - `needs` was checked before
        assert isinstance(cluster, Killable)  # noqa: S101 - `needs` was checked before
        ended = self._lives.pop(instance.name, None) is not None and self.do == "die"
        try:
            await cluster.disarm(instance, self.point)
        except EngineError:
            if (await cluster.state(instance)).status in ("running", "paused"):
                await cluster.kill(instance)
                ended = True
        if ended and (await cluster.state(instance)).status == "exited":
            await cluster.start(instance)

    async def _look(self, cluster: Cluster, instance: Instance) -> tuple[bool, bool, str | Point]:
        """Of one instance: whether the point has struck, whether it is as it was, and how it is."""
        assert isinstance(cluster, Armable)  # noqa: S101 - `needs` was checked before
        state = await cluster.state(instance)
        if state.status == "exited":
            return self._died(instance, state), False, f"exited ({state.exit_code})"
        point = await cluster.point(instance, self.point, _ANSWERS_S)
        if point is None:
            stopped = self.do == "stop" and instance.name in self._lives
            return stopped, False, f"{state.status}, does not answer"
        again = self._lives.get(instance.name, point.life) != point.life
        struck = again if self.do == "die" else point.struck > 0 and self.do != "stop"
        whole = not (point.armed or point.struck or point.held or again)
        return struck, whole, "died and was started" if again else point

    def _died(self, instance: Instance, state: State) -> bool:
        return self.do == "die" and instance.name in self._lives and state.exit_code == 137


def _in_words(seen: Sequence[str | Point]) -> str:
    """What was seen of all instances: the points counted together, everything else once each."""
    words = list(dict.fromkeys(how for how in seen if isinstance(how, str)))
    points = [how for how in seen if isinstance(how, Point)]
    active = [point for point in points if point.armed or point.struck]
    if active:
        reached, struck, held = (sum(getattr(p, n) for p in active) for n in _COUNTS)
        words.append(f"reached {times(reached)}, struck {struck}")
        words += [f"{held} held"] if held else []
    elif points:
        words.append("not armed")
    return ", ".join(words)
