"""`dns`: names cannot be looked up, only slowly, or lead to where nobody is any more.

    service -> 127.0.0.11 -> the lab's name server: SERVFAIL, nothing, late, an old address …

Only new look-ups are broken: who keeps a connection or an address notices nothing, which is half
of the lesson. Docker's own resolver stands in between, as in production, and gives up on a server
that does not answer; what the service then does (resolv.conf(5): 5 s, twice) is its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from lab.engines import Answer, Cluster, Resolvable, Spoiling
from lab.faults.base import PROBE_TIMEOUT_S, Observation, ServiceFault, after
from lab.loading.hints import did_you_mean
from lab.plan import Deployment
from lab.units import Seconds, format_duration, times

_SEEN_SHARE = 0.8
"""A delay counts as seen from this share on: timers round."""

_WORDS = {
    "nxdomain": "NXDOMAIN",
    "servfail": "SERVFAIL",
    "timeout": "no answer",
    "stale": "an old address",
}


class Dns(ServiceFault):
    """Questions of a service for a name get a wrong `answer`, or one that is `delay` late."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["answer"]}, {"required": ["delay"]}],
            "examples": [{"service": "app", "host": "db", "answer": "servfail"}],
        }
    )
    kind: ClassVar[str] = "dns"
    needs: ClassVar[tuple[type, ...]] = (Resolvable,)
    why_needed: ClassVar[str] = (
        "its services know addresses from their environment and configuration, and ask no DNS"
    )

    host: str = Field(
        description="the name of a service, or of one replica, as it looks it up", examples=["db"]
    )
    answer: Literal["nxdomain", "servfail", "timeout", "stale"] | None = Field(
        default=None,
        description="`nxdomain` there is no such name, `servfail` the server cannot tell, `timeout`"
        " none comes, `stale` an address of the run's network at which nobody is any more",
    )
    delay: Seconds | None = Field(default=None, description="before the answer")

    @model_validator(mode="after")
    def _some_effect(self) -> Self:
        if self.answer is None and self.delay is None:
            raise ValueError("a `dns` fault has an `answer` or a `delay`")
        if self.delay is not None and self.delay <= 0:
            raise ValueError("a `delay` is longer than nothing")
        if self.answer == "timeout" and self.delay is not None:
            raise ValueError("with `timeout` no answer comes, so none can be late")
        return self

    def describe(self) -> str:
        """`SERVFAIL when app looks up db`."""
        what = [_WORDS[self.answer]] if self.answer else []
        if self.delay is not None:
            what.append(f"{format_duration(self.delay)} of waiting")
        return f"{' after '.join(what)} when {self.service} looks up {self.host}"

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:
        """Faults of other names are no trouble."""
        return {(target, self.host) for target in self.targets(deployment)}

    def resolves(self, deployment: Deployment) -> tuple[str, ...]:
        """All of its instances."""
        return self.targets(deployment)

    def misfits(self, deployment: Deployment) -> Iterator[tuple[str, str, str]]:
        """A name that nobody has: the field, what is wrong, what to write instead."""
        yield from super().misfits(deployment)
        for one in self.instances(deployment):
            others = [
                other
                for other in deployment.instances
                if other.name != one.name and other.design in ("", one.design)
            ]
            names = {name for other in others for name in (other.service.name, other.host)}
            if self.host not in names:
                wrong = f"`{self.host}` is no name that {one.host} can look up"
                yield "host", wrong, did_you_mean(self.host, sorted(names))

    async def inject(self, cluster: Cluster) -> None:
        """Tell the name server."""
        assert isinstance(cluster, Resolvable)  # noqa: S101 - `needs` was checked before
        rcode = _WORDS[self.answer] if self.answer in ("nxdomain", "servfail") else None
        spoiling = Spoiling(
            rcode=rcode,
            silent=self.answer == "timeout",
            stale=self.answer == "stale",
            delay_s=self.delay or 0.0,
        )
        instances = self.instances(cluster.deployment)
        await cluster.spoil_names(instances, self.host, self._why, spoiling)

    async def heal(self, cluster: Cluster) -> None:
        """Let it answer rightly."""
        assert isinstance(cluster, Resolvable)  # noqa: S101 - `needs` was checked before
        await cluster.mend_names(self.instances(cluster.deployment), self.host, self._why)

    async def observe(self, cluster: Cluster) -> Observation:
        """Ask the name server for the name on behalf of each instance, and time the answer.

        The service's own look-ups are counted beside it: one that keeps what it once learned makes
        none, and then nothing happens to it.
        """
        assert isinstance(cluster, Resolvable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        timeout_s = (self.delay or 0.0) + PROBE_TIMEOUT_S
        answers, (asked, hit) = await asyncio.gather(
            asyncio.gather(*(cluster.look_up(i, self.host, timeout_s) for i in instances)),
            cluster.lookups(instances, self.host, self._why),
        )
        text = after(map(_said, answers))
        text += f"; {self.service} looked it up {times(asked)} so far, "
        text += f"{hit} {'was' if hit == 1 else 'were'} hit"
        return Observation.of(map(self._is_wrong, answers), text)

    @property
    def _why(self) -> str:
        """In whose name: differs for different settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def _is_wrong(self, found: Answer) -> bool:
        """Whether this answer is what was meant."""
        if self.delay is not None and found.seconds < _SEEN_SHARE * self.delay:
            return False
        match self.answer:
            case None:
                return True
            case "timeout":
                return found.rcode is None
            case "stale":
                return found.rcode == "NOERROR" and bool(found.addresses) and not found.is_right
            case _:
                return found.rcode == _WORDS[self.answer]


def _said(found: Answer) -> tuple[str, float | None]:
    """`right`, `NXDOMAIN`, `198.18.7.127`, and its seconds; `no answer` without any."""
    if found.rcode is None:
        return "no answer", None
    what = found.rcode if found.rcode != "NOERROR" else ", ".join(found.addresses) or "no address"
    return "right" if found.is_right else what, found.seconds
