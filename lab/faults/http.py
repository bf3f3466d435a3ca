"""`http`: single requests of a link fail, wait, or get half an answer; by method, path and number.

    client ──▶ proxy ──▶ interceptor ──▶ server
           ◀── 503 ──────────┘    (never asked)

What a flaky dependency does to its callers, without a change to either: connections stay open and
are struck as well, those that were there before included. An interceptor that knows HTTP/1 is in
the path of the links that such faults name, from the beginning (`lab.proxies.interceptor`).
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from lab.engines import Cluster, Interceptable
from lab.faults.base import PROBE_TIMEOUT_S, Observation, after
from lab.faults.requests import RequestFault
from lab.plan import Deployment
from lab.proxies.striking import Attempt, HttpRule, Strikes
from lab.units import Bytes, Seconds, format_duration, format_size

_SEEN_SHARE = 0.8
"""A delay counts as seen from this share on: timers round."""


class Http(RequestFault):
    """Requests of a link are answered with `status`, wait for `delay`, or get `truncate` bytes."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [what]} for what in ("status", "delay", "truncate")],
            "examples": [{"link": "app -> inventory", "status": 503, "share": "20%"}],
        }
    )
    kind: ClassVar[str] = "http"
    needs: ClassVar[tuple[type, ...]] = (Interceptable,)

    status: int | None = Field(
        default=None,
        ge=200,
        le=599,
        description="is answered in place of the server, which never gets the request",
        examples=[503],
    )
    delay: Seconds | None = Field(
        default=None, description="before the request goes on, or is answered"
    )
    truncate: Bytes | None = Field(
        default=None,
        ge=0,
        description="so many bytes of the answer's body arrive (one less than all, if it is"
        " shorter), and then the connection ends: less than Content-Length promises",
    )
    body: str = Field(default="", description="of the answer with `status`")
    retry_after: Seconds | None = Field(
        default=None, ge=1, description="a Retry-After header with `status`, in whole seconds"
    )

    @model_validator(mode="after")
    def _one_effect(self) -> Self:
        if self.status is None and self.delay is None and self.truncate is None:
            raise ValueError("an `http` fault has a `status`, a `delay` or a `truncate`")
        if self.status is not None and self.truncate is not None:
            raise ValueError("`status` answers in the server's place, so nothing is to `truncate`")
        if self.status is None and (self.body or self.retry_after is not None):
            raise ValueError("`body` and `retry_after` are of an answer with `status`")
        if self.delay is not None and self.delay <= 0:
            raise ValueError("a `delay` is longer than nothing")
        return self

    def describe(self) -> str:
        """`503 for 20 % of POST /orders/* on app -> inventory`."""
        effects = [f"delay {format_duration(self.delay)}"] if self.delay is not None else []
        if self.status is not None:
            effects.append(str(self.status))
        if self.truncate is not None:
            effects.append(f"answers cut after {format_size(self.truncate)}")
        return f"{' and '.join(effects)} for {self.which()} on {self.link}"

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:
        """Faults of other requests, or that do something else to them, are no trouble."""
        return {(target, self._rule_name) for target in self.targets(deployment)}

    async def inject(self, cluster: Cluster) -> None:
        """Arm the rule on every end."""
        assert isinstance(cluster, Interceptable)  # noqa: S101 - `needs` was checked before
        deployment = cluster.deployment
        rules = {}
        for end in self.ends(deployment):
            # Without the design: designs get the same, so that they can be compared.
            seed = f"{deployment.seed} {end.client_host} -> {end.server.host} {self._rule_name}"
            rules[end.name] = self._rule(seed)
        await cluster.strike(rules)

    async def heal(self, cluster: Cluster) -> None:
        """Disarm it."""
        assert isinstance(cluster, Interceptable)  # noqa: S101 - `needs` was checked before
        await cluster.spare(self.ends(cluster.deployment), self._rule_name)

    async def observe(self, cluster: Cluster) -> Observation:
        """Ask for a harmless page in the disguise of such a request: what a client then gets.

        In effect when that is what was meant, and the interceptor's count of real requests agrees:
        as many struck as there should be, and if any pass by, some that it is about.
        """
        assert isinstance(cluster, Interceptable)  # noqa: S101 - `needs` was checked before
        ends = self.ends(cluster.deployment)
        pretends = f"{self.example()} {self._rule_name}"
        timeout_s = (self.delay or 0.0) + PROBE_TIMEOUT_S
        tries, plain, counts = await asyncio.gather(
            asyncio.gather(*(cluster.attempt(end, pretends, timeout_s) for end in ends)),
            asyncio.gather(*(cluster.attempt(end, None, timeout_s) for end in ends)),
            cluster.strikes(ends, self._rule_name),
        )
        seen = [self._is_struck(*pair) for pair in zip(tries, plain, strict=True)]
        found = [count for count in counts.values() if count]
        in_effect = all(seen) and len(found) == len(ends) and all(map(self.is_as_meant, found))
        text = after(map(_said, tries))
        if found:
            struck, matched = (sum(getattr(c, n) for c in found) for n in ("struck", "matched"))
            passed = sum(count.seen for count in found)
            struck_of = f"{struck} of {matched} such requests struck"
            text += f"; {struck_of if matched else 'no such request came'}"
            text += f", {passed} passed by" if passed else ""
        return Observation(bool(ends) and in_effect, bool(ends) and not any(seen), text)

    @property
    def _rule_name(self) -> str:
        """Differs for different settings, and is one word."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]

    def _rule(self, seed: str) -> HttpRule:
        return HttpRule(
            name=self._rule_name,
            method=self.method,
            path=self.path,
            share=self.share,
            first=self.first,
            seed=seed,
            delay_s=self.delay or 0.0,
            status=self.status,
            body=self.body,
            retry_after_s=None if self.retry_after is None else round(self.retry_after),
            truncate_bytes=self.truncate,
        )

    def _is_struck(self, found: Attempt, plain: Attempt) -> bool:
        """Whether this is what was meant; `plain` went the same way at the same time, as itself."""
        if self.delay is not None and found.seconds - plain.seconds < _SEEN_SHARE * self.delay:
            return False
        if self.truncate is not None:
            return found.outcome == "cut" and plain.outcome == "answered"
        return found.status == self.status if self.status is not None else True

    def is_as_meant(self, count: Strikes) -> bool:
        """Answers without a body cannot be cut."""
        if self.truncate is None or (count.seen and not count.matched):
            return super().is_as_meant(count)
        return count.struck <= count.matched and bool(count.struck) == bool(count.matched)


def _said(found: Attempt) -> tuple[str, float | None]:
    """`503` and its seconds; `200 cut after 60 B` and `silent` without any."""
    if found.status is None:
        return found.outcome, None
    if found.outcome == "cut":
        return f"{found.status} cut after {format_size(found.received_bytes)}", None
    return str(found.status), found.seconds
