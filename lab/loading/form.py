"""The surface of an experiment file: its words, what each means, and what may stand there.

These models are what the JSON Schema for editors is made from, and what the loader reads the file
with. They hold what the author wrote; `lab.experiment` holds what it means.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from lab.experiment import PHASES_OF_CURRICULUM, Keys
from lab.units import PerSecond, Seconds, Share

_KEYS = re.compile(r"(zipf|uniform)\(\s*(\d+)\s*(?:,\s*(\d+(?:\.\d+)?)\s*)?\)")

Text = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
"""A text, which YAML may take for something else: `DB_POOL: 15`, `CACHE: on`."""

ClaimLine = Annotated[str, Field(min_length=1, examples=["p99 < 1s during fault"])]
ConditionLine = Annotated[
    str, Field(min_length=1, examples=["worker.in_critical_section", "app_pool_waiting > 3"])
]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def parse_keys(value: object) -> object:
    """Read `zipf(1000)`, `zipf(1000, 1.2)` or `uniform(500)`.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, Keys):
        return value
    match = _KEYS.fullmatch(str(value).strip())
    if not match or (match[1] == "uniform" and match[3]):
        raise ValueError(
            f"`{value}` does not say how keys are drawn: "
            "write zipf(1000), zipf(1000, 1.2) or uniform(500)"
        )
    if not 1 <= int(match[2]) <= 10_000_000 or not 0 < float(match[3] or 1) <= 5:
        raise ValueError(
            f"`{value}` is out of range: write 1 to 10000000 keys, an exponent up to 5"
        )
    given = {"s": match[3]} if match[3] else {}
    return Keys.model_validate({"kind": match[1], "n": match[2], **given})


KeysText = Annotated[
    Keys,
    BeforeValidator(parse_keys),
    WithJsonSchema(
        {"type": "string", "pattern": _KEYS.pattern, "examples": ["zipf(1000)", "uniform(500)"]}
    ),
]


class Form(BaseModel):
    """Strict: an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class RequestForm(Form):
    """One kind of request. Exactly one of `get`, `post`, `put`, `delete` gives its path."""

    get: str | None = Field(None, description="GET this path", examples=["/{key}"])
    post: str | None = Field(None, description="POST to this path", examples=["/links"])
    put: str | None = Field(None, description="PUT to this path")
    delete: str | None = Field(None, description="DELETE this path")
    name: str | None = Field(
        None,
        pattern=r"^[\w.-]+$",
        description="how claims call it: `p99 of follow`; default: method and path",
        examples=["follow"],
    )
    weight: Positive = Field(1.0, description="how often, relative to the other requests")
    keys: KeysText | None = Field(None, description="how `{key}` in path and body is drawn")
    body: str | None = Field(None, description="sent as it is, with `{key}` filled in")
    headers: dict[str, Text] = Field(default_factory=dict, description="sent with every request")


class RetryForm(Form):
    """What clients do when an attempt fails."""

    attempts: int = Field(1, ge=1, le=20, description="tries at most, the first one included")
    budget: Share | None = Field(None, description="retries as a share of first attempts, at most")
    backoff: Seconds = Field(0.0, description="wait before the first retry; doubles with each")
    backoff_max: Seconds = Field(10.0, description="the longest wait")
    jitter: Literal["none", "full"] = Field(
        "none", description="`full` waits a random time from 0 to the backoff"
    )


class StageForm(Form):
    """A piece of the load: a rate, or a ramp from `rate` to `to`, for a while."""

    rate: PerSecond = Field(description="requests per second (at the start)", examples=["50/s"])
    to: PerSecond | None = Field(None, description="ramp up or down to this rate")
    seconds: Seconds = Field(alias="for", description="for how long", examples=["10s"])


class LoadForm(Form):
    """What clients do. In a design, the keys that stand there replace those of the default."""

    workload: Literal["http"] = Field("http", description="what an operation is")
    loop: Literal["open", "closed"] = Field(
        "open",
        description="`open` sends at times drawn beforehand; `closed` has waiting `users`",
    )
    rate: PerSecond | None = Field(
        None, description="one rate for the whole run", examples=["60/s"]
    )
    stages: list[StageForm] = Field(
        default_factory=list, description="rates that change; as long together as the timeline"
    )
    users: int | None = Field(None, ge=1, le=1000, description="of a closed loop")
    think: Seconds = Field(0.0, description="a user's pause between answer and next request")
    arrivals: Literal["poisson", "constant"] = Field("poisson", description="spacing of requests")
    requests: list[RequestForm] = Field(default_factory=list, description="the mix")
    timeout: Seconds = Field(5.0, description="of one attempt", examples=["10s"])
    retry: Literal["none"] | RetryForm = Field("none", description="what follows a failed attempt")
    connections: Literal["keep-alive", "new"] = Field(
        "keep-alive", description="`new` opens one for every attempt"
    )


class DesignForm(Form):
    """One of the designs that are compared, and what it is predicted to do."""

    topology: str | None = Field(
        None,
        description="`name`, `name/variant` or a path of a Compose file",
        examples=["url-shortener", "url-shortener/replicated"],
    )
    env: dict[str, dict[str, Text]] = Field(
        default_factory=dict, description="environment by service", examples=[{"app": {"POOL": 15}}]
    )
    replicas: dict[str, Annotated[int, Field(ge=1, le=20)]] = Field(
        default_factory=dict, description="containers by service", examples=[{"app": 3}]
    )
    load: LoadForm = Field(
        default_factory=LoadForm, description="keys that differ from the default"
    )
    holds: list[ClaimLine] = Field(default_factory=list, description="claims that must prove true")
    breaks: list[ClaimLine] = Field(
        default_factory=list, description="claims that must prove false"
    )
    pays: list[ClaimLine] = Field(
        default_factory=list, description="what this design loses: claims that must prove true"
    )
    why: str = Field("", description="one sentence with measured numbers: {p50 during fault}")


class WhenForm(Form):
    """When a fault is on: `during` a phase, `at` a moment `for` a while, or by conditions."""

    during: str = Field(
        "fault",
        description="a phase of the timeline, default `fault`; with `when`, where it may start",
    )
    at: Seconds | None = Field(None, description="start, from the beginning of the load")
    seconds: Seconds | None = Field(
        None, alias="for", description="how long; with `until`, at most so long"
    )
    when: ConditionLine | None = Field(
        None, description="start when this comes true, in each design for itself"
    )
    within: Seconds | None = Field(
        None, description="how long `when` may take; default: until its phase ends"
    )
    until: ConditionLine | None = Field(
        None, description="end when this comes true, or when its time is over"
    )
    name: str | None = Field(
        None,
        pattern=r"^[A-Za-z][\w-]*$",
        description="how claims and charts call it; default: the kind",
    )


class ExperimentForm(Form):
    """An experiment of Chaos Lab: the same load and the same faults on two or more designs."""

    question: str = Field(description="what the experiment answers, as a reader would ask it")
    phase: Literal[PHASES_OF_CURRICULUM] = Field(  # type: ignore[valid-type]
        description="the phase of the curriculum: which part of system design it is about "
        "(not a phase of its timeline)"
    )
    topology: str | None = Field(None, description="of every design that names none itself")
    env: dict[str, dict[str, Text]] = Field(
        default_factory=dict, description="environment by service, for every design"
    )
    replicas: dict[str, Annotated[int, Field(ge=1, le=20)]] = Field(
        default_factory=dict, description="containers by service, for every design"
    )
    load: LoadForm = Field(default_factory=LoadForm, description="what clients do, in every design")
    timeline: dict[str, Seconds] = Field(
        description="phases in order and how long each lasts; the first is the baseline",
        examples=[{"baseline": "8s", "fault": "12s", "recovery": "15s"}],
    )
    designs: dict[str, DesignForm] = Field(description="two or more, by name", min_length=2)
    faults: list[object] = Field(default_factory=list, description="what breaks, and when")
    requires: dict[str, list[ClaimLine]] = Field(
        default_factory=dict,
        description="by design: claims that must hold for the run to have earned a verdict",
    )
    watch: list[str] = Field(default_factory=list, description="metrics worth a chart, best first")
    lesson: str = Field(description="what the reader takes home")
    costs: str = Field("", description="one sentence on what the better design costs")
    sources: list[str] = Field(default_factory=list, description="where this is described")
    trim: Seconds = Field(
        1.0, description="left out at both edges of a phase before a claim looks at it"
    )
    seed: int = Field(1, ge=0, description="of everything random")
