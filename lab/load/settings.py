"""The SPEC a driver gets, as values; a mistake in it is a ValueError that names the field.

`lab.load.spec` builds it from an experiment. This side of the pipe has no pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lab.load.pacer import Arrivals, Stage
from lab.load.retry import RetryPolicy

IN_FLIGHT_MAX = 20_000
"""Operations at once beyond which the driver refuses to send more, and says so."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """How `{key}` is drawn: `zipf` with exponent `s`, or `uniform`, over 1..n."""

    kind: str
    n: int
    s: float = 1.1


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """One kind of request of the mix; `{key}` may stand in path, body and header values."""

    name: str
    method: str
    path: str
    weight: float = 1.0
    keys: KeySpec | None = None
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriverSpec:
    """Everything one driver must know for one run.

    `timeout_s` is per attempt. `metrics_port` None exposes nothing; `metrics_host` is the address
    it listens on. `connect_to` is where `host` and `port` are where no resolver knows them.
    """

    design: str
    seed: int
    host: str
    port: int
    duration_s: float
    requests: tuple[RequestSpec, ...]
    loop: Literal["open", "closed"] = "open"
    users: int = 1
    think_s: float = 0.0
    arrivals: Arrivals = "poisson"
    stages: tuple[Stage, ...] = ()
    timeout_s: float = 5.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    keep_alive: bool = True
    in_flight_max: int = IN_FLIGHT_MAX
    metrics_port: int | None = None
    metrics_host: str = "0.0.0.0"
    connect_to: tuple[str, int] | None = None

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> DriverSpec:
        """Take a SPEC from its JSON form.

        Raises:
            ValueError: a field is missing, unknown, or not what it must be.
        """
        fields = dict(message)
        try:
            fields["requests"] = tuple(_request(part) for part in fields["requests"])
            fields["stages"] = tuple(Stage(**part) for part in fields.get("stages") or ())
            fields["retry"] = RetryPolicy(**fields.get("retry") or {})
            fields["keep_alive"] = fields.pop("connections", "keep-alive") == "keep-alive"
            fields["users"] = fields.get("users") or 1
            if fields.get("connect_to"):
                host, port = fields["connect_to"]
                fields["connect_to"] = (str(host), int(port))
            spec = cls(**fields)
        except KeyError as error:
            raise ValueError(f"the spec lacks {error}") from None
        except TypeError as error:
            raise ValueError(f"the spec does not fit: {error}") from None
        spec._check()
        return spec

    def _check(self) -> None:
        if not self.requests:
            raise ValueError("the spec has no requests")
        if self.loop not in ("open", "closed") or self.arrivals not in ("poisson", "constant"):
            raise ValueError(f"no such load: loop {self.loop!r}, arrivals {self.arrivals!r}")
        if self.loop == "open" and not self.stages:
            raise ValueError("an open loop needs stages")
        if self.duration_s <= 0 or self.timeout_s <= 0 or self.in_flight_max < 1:
            raise ValueError("duration_s, timeout_s and in_flight_max must be above 0")


def _request(part: Mapping[str, Any]) -> RequestSpec:
    keys = part.get("keys")
    given = {
        **part,
        "keys": KeySpec(**keys) if keys else None,
        "headers": part.get("headers") or {},
    }
    return RequestSpec(**given)
