"""Small runs written by hand, for the tests of the checkers.

Two designs, `naive` and `sturdy`, 10/s for 35 s: baseline 0-10 s, fault 10-20 s, recovery 20-35 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lab.checkers import Facts
from lab.claims import parse_claim
from lab.errors import ExitCode
from lab.experiment import Design, Experiment, Load, Phase, Request, ScheduledFault
from lab.history import Event, History, Op, Sample
from lab.record import Cost, FaultRecord, Lag, Record
from lab.topology import Link, Service, Topology
from lab.verdict import Status, Verdict

RATE_PER_S = 10.0
LINK_ENDS = ("naive/app-1 -> db-1:5432", "sturdy/app-1 -> db-1:5432")


class SlowLink:
    """As much of a fault as an experiment needs."""

    kind = "latency"

    def describe(self) -> str:
        """What it breaks."""
        return "latency 200 ms on app -> db"


def topology() -> Topology:
    """Client -> app -> db."""
    services = {"app": Service("app", image="app"), "db": Service("db", image="db")}
    return Topology("app-db", services, (Link("app", "db", 5432),), Link("client", "app", 8000))


def load(**changes: Any) -> Load:
    """An open loop of 10/s."""
    if not changes:
        changes = {"rate": RATE_PER_S}
    return Load(requests=(Request(name="get", path="/"),), **changes)


def experiment(
    *,
    holds: Sequence[str] = ("ok >= 99%",),
    breaks: Sequence[str] = ("ok >= 99% during fault",),
    pays: Sequence[str] = (),
    requires: Sequence[str] = (),
    why: str = "",
    **changes: Any,
) -> Experiment:
    """`holds` and `pays` are claims of `sturdy`; `breaks`, `requires` and `why` of `naive`."""
    what = changes.pop("load", load())
    values: dict[str, Any] = {
        "name": "slow",
        "question": "?",
        "phase": "reliability",
        "designs": {
            "naive": Design(topology=topology(), load=what, breaks=breaks, why=why),
            "sturdy": Design(topology=topology(), load=what, holds=holds, pays=pays),
        },
        "phases": (
            Phase(name="baseline", start_s=0, end_s=10),
            Phase(name="fault", start_s=10, end_s=20),
            Phase(name="recovery", start_s=20, end_s=35),
        ),
        "faults": (ScheduledFault(fault=SlowLink(), at_s=10, for_s=10, name="slow-db"),),
        "requires": {"naive": tuple(parse_claim(text) for text in requires)},
        "lesson": "-",
    }
    return Experiment(**{**values, **changes})


def op(
    due_s: float,
    latency_s: float = 0.01,
    outcome: str = "ok",
    *,
    design: str = "naive",
    request: str = "get",
    attempts: int = 1,
    error: str = "",
    lag_s: float = 0.0,
) -> Op:
    """One operation."""
    done_s = due_s + latency_s
    status = 200 if outcome == "ok" else 0
    error = error or ("" if outcome == "ok" else "timeout")
    sent_s = due_s + lag_s
    return Op(design, request, "", due_s, sent_s, done_s, outcome, status, attempts, error)  # type: ignore[arg-type]


def steady(
    answer: Callable[[float], tuple[float, str]], design: str = "naive", until_s: float = 35.0
) -> list[Op]:
    """An operation every 0.1 s; `answer` gives latency and outcome for the moment it is due."""
    dues = [number / RATE_PER_S for number in range(round(until_s * RATE_PER_S))]
    return [op(due_s, *answer(due_s), design=design) for due_s in dues]


def healthy(_: float) -> tuple[float, str]:
    """Answered after 10 ms."""
    return 0.01, "ok"


def sick_in_fault(due_s: float) -> tuple[float, str]:
    """Nothing is ok while the fault lasts, and for 2 s more."""
    return (1.0, "info") if 10 <= due_s < 22 else (0.01, "ok")


def facts(ops: Iterable[Op] = (), samples: Iterable[Sample] = (), **changes: Any) -> Facts:
    """Facts of a run with these operations and samples."""
    costs = changes.pop("costs", {})
    return Facts(experiment(**changes), History(list(ops), [], list(samples)), costs)


def sample(
    at_s: float,
    value: float,
    *,
    instance: str = "naive/app-1",
    design: str = "naive",
    name: str = "queue",
    **labels: str,
) -> Sample:
    """One scraped value."""
    return Sample(at_s, design, instance, name, tuple(sorted(labels.items())), value)


def record(**changes: Any) -> Record:
    """A run that went well: `naive` is sick in the fault, `sturdy` never is."""
    what = {k: changes.pop(k) for k in list(changes) if k in _OF_EXPERIMENT}
    ops = [*steady(sick_in_fault), *steady(healthy, "sturdy")]
    designs = ("naive", "sturdy")
    values: dict[str, Any] = {
        "run_id": "0123abcd",
        "experiment": experiment(**what),
        "engine": "docker",
        "started_unix_s": 1.8e9,
        "seed": 1,
        "history": History(ops, [Event(0.0, "phase", "baseline")], []),
        "verdict": Verdict(Status.UNKNOWN, (), ()),
        "exit_code": ExitCode.UNKNOWN,
        "faults": (fault(),),
        "costs": {name: Cost(2, 3.5, 2**28, 350) for name in designs},
        "lags": {name: Lag(0.0001, 0.001, 0.002, 350, 350) for name in designs},
        "links": dict.fromkeys(LINK_ENDS, 200),
    }
    return Record(**{**values, **changes})


_OF_EXPERIMENT = ("holds", "breaks", "pays", "requires", "why", "load", "phases")


def fault(**changes: Any) -> FaultRecord:
    """The fault as it went: it bit and it healed."""
    values: dict[str, Any] = {
        "name": "slow-db",
        "kind": "latency",
        "text": "latency 200 ms on app -> db",
        "targets": LINK_ENDS,
        "planned_s": 10.0,
        "injected_s": 10.004,
        "confirmed_s": 10.2,
        "healed_s": 20.001,
        "gone_s": 20.01,
        "before": "round trip 0.4 ms",
        "during": "round trip 203 ms",
        "after": "round trip 0.4 ms",
        "bit": True,
        "healed": True,
    }
    return FaultRecord(**{**values, **changes})
