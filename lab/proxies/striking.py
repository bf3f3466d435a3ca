"""Which requests of a link are struck, what happens to them, and what was counted. Values only.

Spoken between whoever breaks a link and the interceptor on it (`lab.proxies.interceptor`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One rule on one link; `name` is unique on it.

    It is about requests of a `method` (None: all) and a `path` without query, in which `*` stands
    for anything, slashes too. Of those it strikes the `first` so many and then none, or each with
    the chance of `share`, drawn from `seed` in the order of their arrival.

    A struck request waits for `delay_s`; then it is answered with `status` and never reaches the
    server, or its answer is cut after `truncate_bytes` of the body, or it goes on as it was.
    """

    name: str
    method: str | None = None
    path: str | None = None
    share: float = 1.0
    first: int | None = None
    seed: str = ""
    delay_s: float = 0.0
    status: int | None = None
    body: str = ""
    retry_after_s: int | None = None
    truncate_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Strikes:
    """Requests since a rule was armed: that passed by, that it is about, that it struck.

    A connection that carries no HTTP counts as one that passed by.
    """

    seen: int
    matched: int
    struck: int


@dataclass(slots=True)
class Attempt:
    """One request of the lab's own over a link.

    `outcome`: `answered` whole, `cut` off in the middle of the answer, or as in
    `lab.engines.Probe`. `promised_bytes` is what Content-Length says, None where it is not there.
    """

    outcome: Literal["answered", "cut", "silent", "refused", "reset", "closed"] = "silent"
    status: int | None = None
    seconds: float = 0.0
    promised_bytes: int | None = None
    received_bytes: int = 0
