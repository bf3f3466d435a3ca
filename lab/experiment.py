"""An experiment: the same load and the same faults on two or more designs. Frozen values, no I/O.

The YAML file and a Python program build the same `Experiment`. Field names are the YAML words;
durations are seconds, rates per second, shares 0..1 inside, with written units in the file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol, runtime_checkable

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lab.claims import Claim, parse_claim
from lab.conditions import Condition, parse_condition
from lab.topology import Topology
from lab.units import PerSecond, Seconds, Share

PHASES_OF_CURRICULUM = (
    "instrument",
    "internet",
    "scalability",
    "storage",
    "reliability",
    "architecture",
    "infrastructure",
    "security",
    "distributed",
    "data",
    "real-systems",
)
"""The ten phases of the series, and `instrument` for the lab testing itself."""


class Model(BaseModel):
    """Strict and frozen: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


@runtime_checkable
class Fault(Protocol):
    """What every fault value offers; `lab.faults` holds the kinds."""

    kind: str

    def describe(self) -> str:
        """What is broken, in a few words: `latency 500 ms on app -> db`."""
        ...


def _condition(value: object) -> object:
    return parse_condition(value) if isinstance(value, str) else value


ConditionText = Annotated[
    Condition,
    BeforeValidator(_condition, json_schema_input_type=str),
    Field(examples=["worker.in_critical_section"]),
]


class ScheduledFault(Model):
    """A fault with its place on the timeline, in seconds since the start of the load.

    `name` is how claims and charts call it. Without conditions it starts `at_s` and lasts `for_s`.

    Args:
        when: it starts when this comes true, looked at from `at_s` on for `within_s`. Designs are
            looked at one by one, and it starts in each for itself.
        until: it ends when this comes true, after `for_s` at the latest.
        last_s: it ends then at the latest, however late it started; None is no such limit.
    """

    fault: Any
    at_s: float
    for_s: float
    name: str
    when: ConditionText | None = None
    within_s: float = 0.0
    until: ConditionText | None = None
    last_s: float | None = None

    @model_validator(mode="after")
    def _waits(self) -> ScheduledFault:
        if (self.when is None) == (self.within_s > 0):
            raise ValueError("`when` needs `within_s`, how long it may take, and the reverse")
        return self

    @property
    def triggered(self) -> bool:
        """Whether when it starts or ends is known only as it happens."""
        return self.when is not None or self.until is not None

    @property
    def until_s(self) -> float:
        """When it heals; with conditions, at the latest."""
        latest_s = self.at_s + self.within_s + self.for_s
        return latest_s if self.last_s is None else min(latest_s, self.last_s)

    def end_s(self, started_s: float) -> float:
        """When it heals at the latest, having started then."""
        return min(self.until_s, started_s + self.for_s) if self.when else self.until_s


class Keys(Model):
    """How `{key}` is drawn. `zipf(n, s)`: rank k has weight 1/k**s; `uniform(n)`: all alike.

    The default exponent 1.1 is in the range measured for web requests (Breslau et al. 1999 find
    0.64-0.83 for proxies; hot links of a shortener are more skewed).
    """

    kind: Literal["zipf", "uniform"]
    n: int = Field(ge=1, le=10_000_000)
    s: float = Field(default=1.1, gt=0, le=5)


class Request(Model):
    """One kind of request of the mix; `weight` relative to the others."""

    name: str
    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"
    path: str
    weight: float = Field(default=1.0, gt=0)
    keys: Keys | None = None
    body: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)


class Retry(Model):
    """What the client does when an attempt fails; attempts count the first try.

    `budget` caps retries as a share of first attempts (Google SRE book ch. 21: 10%); `backoff`
    doubles with each retry up to `backoff_max`, and `jitter: full` draws uniformly from 0 to it
    (AWS Builders' Library, "Timeouts, retries and backoff with jitter").
    """

    attempts: int = Field(default=1, ge=1, le=20)
    budget: Share | None = None
    backoff: Seconds = 0.0
    backoff_max: Seconds = 10.0
    jitter: Literal["none", "full"] = "none"


class Stage(Model):
    """A piece of the load: from one rate to another (a ramp) or constant, for a while."""

    rate: PerSecond
    to: PerSecond | None = None
    seconds: Seconds = Field(alias="for")


class Load(Model):
    """What clients do.

    `loop: open` sends at the times the pacer drew, whatever the system does; `loop: closed` keeps
    `users` in a loop of request and answer and therefore goes quiet when the system stalls.
    `timeout` is per attempt. `connections: new` opens one per attempt.
    """

    workload: Literal["http"] = "http"
    loop: Literal["open", "closed"] = "open"
    rate: PerSecond | None = None
    stages: tuple[Stage, ...] = ()
    users: int | None = Field(default=None, ge=1, le=1000)
    think: Seconds = 0.0
    arrivals: Literal["poisson", "constant"] = "poisson"
    requests: tuple[Request, ...] = Field(min_length=1)
    timeout: Seconds = 5.0
    retry: Retry = Retry()
    connections: Literal["keep-alive", "new"] = "keep-alive"

    @model_validator(mode="after")
    def _one_shape(self) -> Load:
        if self.loop == "open" and (self.rate is None) == (not self.stages):
            raise ValueError("an open loop needs `rate` or `stages`, and not both")
        if self.loop == "closed" and (self.users is None or self.rate is not None or self.stages):
            raise ValueError("a closed loop needs `users`, and has no `rate` or `stages`")
        return self


def _claim(value: object) -> object:
    return parse_claim(value) if isinstance(value, str) else value


ClaimText = Annotated[
    Claim,
    BeforeValidator(_claim, json_schema_input_type=str),
    Field(examples=["p99 < 1s during fault"]),
]


class Design(Model):
    """A topology with settings, and what it is predicted to do.

    `holds` must prove true and `breaks` must prove false; `pays` is what this design loses, and
    must prove true as well. `why` is one sentence with measured numbers in braces.
    """

    topology: Topology
    env: dict[str, dict[str, str]] = Field(default_factory=dict)
    replicas: dict[str, Annotated[int, Field(ge=1, le=20)]] = Field(default_factory=dict)
    load: Load
    holds: tuple[ClaimText, ...] = ()
    breaks: tuple[ClaimText, ...] = ()
    pays: tuple[ClaimText, ...] = ()
    why: str = ""

    @model_validator(mode="after")
    def _predicts(self) -> Design:
        if not (self.holds or self.breaks):
            raise ValueError("a design predicts something: give it `holds` or `breaks`")
        return self


class Phase(Model):
    """A named stretch of the timeline, in seconds since the start of the load."""

    name: str
    start_s: float
    end_s: float


def _two_or_more(designs: dict[str, Design]) -> dict[str, Design]:
    if len(designs) < 2:
        raise ValueError("an experiment compares designs: write at least two")
    return designs


class Experiment(Model):
    """The whole experiment.

    Args:
        trim_s: phases are trimmed by this at both edges before a claim looks at them, because
            requests in flight at an edge belong to neither side (default 1 s).
        requires: claims over the run that must hold for it to have earned a verdict at all.
        watch: metrics worth a chart, the "why" of this experiment first.
    """

    name: str
    question: str
    phase: Literal[PHASES_OF_CURRICULUM]  # type: ignore[valid-type]
    designs: Annotated[dict[str, Design], AfterValidator(_two_or_more)]
    phases: tuple[Phase, ...] = Field(min_length=1)
    faults: tuple[ScheduledFault, ...] = ()
    requires: dict[str, tuple[ClaimText, ...]] = Field(default_factory=dict)
    watch: tuple[str, ...] = ()
    lesson: str
    costs: str = ""
    sources: tuple[str, ...] = ()
    trim_s: float = 1.0
    seed: int = 1
    path: str = ""
    text: str = ""

    @property
    def duration_s(self) -> float:
        """Length of the load."""
        return self.phases[-1].end_s

    def phase_named(self, name: str) -> Phase:
        """The phase of that name.

        Raises:
            KeyError: there is none.
        """
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)
