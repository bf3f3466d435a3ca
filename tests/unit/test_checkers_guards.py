"""What a run must show to earn a verdict: each condition met, and each not met."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.checkers import Facts, guards
from lab.checkers.guards import planned_operations
from lab.experiment import Load, ScheduledFault, Stage
from lab.history import Event, History, Op
from lab.record import Lag, Record
from lab.verdict import Guard
from tests.unit.checkers_runs import (
    LINK_ENDS,
    SlowLink,
    experiment,
    fault,
    healthy,
    load,
    op,
    record,
    steady,
)


def _guards(run: Record) -> list[Guard]:
    return guards(Facts(run.experiment, run.history, run.costs), run)


def _unmet(run: Record) -> list[tuple[str, str]]:
    return [(guard.design, guard.name) for guard in _guards(run) if not guard.met]


def _naive(ops: list[Op], **changes: object) -> Record:
    """The run, with these operations of `naive` and a healthy `sturdy`."""
    run = record()
    return replace(run, history=History([*ops, *steady(healthy, "sturdy")]), **changes)  # type: ignore[arg-type]


def test_a_good_run_meets_all() -> None:
    """A run that went well meets every guard, and each says so in one line with a number."""
    found = _guards(record())
    assert all(guard.met for guard in found)
    assert {guard.name for guard in found} == {
        "healthy baseline",
        "load offered as planned",
        "driver on time",
        "enough operations",
        "slow-db bit",
        "slow-db healed",
        "nothing died by itself",
        "traffic on app -> db:5432",
    }
    assert all(guard.detail and "\n" not in guard.detail for guard in found)


def test_sick_baseline() -> None:
    """One failure in fifty before the fault is a system that was sick to begin with."""
    ops = steady(lambda t: (0.01, "fail" if t in (3.0, 7.0) else "ok"))
    run = _naive(ops)
    assert _unmet(run) == [("naive", "healthy baseline")]
    assert "97.5 % of 80 operations ok" in next(g.detail for g in _guards(run) if not g.met)


def test_trouble_at_the_edges_of_the_baseline_is_forgiven() -> None:
    """The first and the last second of the baseline are trimmed."""
    assert not _unmet(_naive(steady(lambda t: (0.01, "ok" if 1 <= t < 9 or t > 10 else "fail"))))


def test_baseline_of_too_few_operations() -> None:
    """Nineteen good operations prove no healthy baseline; the load was not as planned either."""
    late = [o for o in steady(healthy) if o.due_s >= 10]
    ops = [*steady(healthy)[15:34], *late]
    assert ("naive", "healthy baseline") in _unmet(_naive(ops))


@pytest.mark.parametrize(("share", "met"), [(1.0, True), (0.6, True), (0.4, False), (1.6, False)])
def test_offered_rate_within_five_sigma(share: float, met: bool) -> None:
    """Of 100 planned, 60 are bad luck within five sigma; 40 or 160 are another load."""
    early = [op(n / (RATE * share)) for n in range(int(100 * share))]
    late = [o for o in steady(healthy) if o.due_s >= 10]
    assert (("naive", "load offered as planned") not in _unmet(_naive([*early, *late]))) is met


RATE = 10.0


@pytest.mark.parametrize(("late", "met"), [(5, True), (6, False)])
def test_operations_sent_too_late(late: int, met: bool) -> None:
    """Up to one in twenty operations may still be unsent when the fault starts."""
    ops = [
        o._replace(sent_s=12.0) if number < late else o for number, o in enumerate(steady(healthy))
    ]
    assert (("naive", "load offered as planned") not in _unmet(_naive(ops))) is met


def test_refused_operations_were_not_sent() -> None:
    """What the driver itself refused does not count as offered."""
    ops = steady(healthy)
    ops[20:30] = [o._replace(outcome="fail", error="saturated") for o in ops[20:30]]
    assert ("naive", "load offered as planned") in _unmet(_naive(ops))


def test_closed_loop_plans_no_rate() -> None:
    """A closed loop offers what the system lets it; only what it wanted must be sent."""
    run = record(load=load(loop="closed", users=2))
    assert not _unmet(run)
    assert "planned" not in next(g.detail for g in _guards(run) if g.name.startswith("load"))


@pytest.mark.parametrize(
    ("what", "until_s", "planned"),
    [
        (load(rate=10), 8, 80),
        (load(stages=[Stage(rate=10, **{"for": 20})]), 8, 80),
        (load(stages=[Stage(rate=10, **{"for": 4}), Stage(rate=20, **{"for": 4})]), 6, 80),
        (load(stages=[Stage(rate=0, to=10, **{"for": 10})]), 10, 50),
        (load(stages=[Stage(rate=0, to=10, **{"for": 10})]), 5, 12.5),
        (load(stages=[Stage(rate=0, to=10, **{"for": 4})]), 10, 80),
    ],
)
def test_planned_operations(what: Load, until_s: float, planned: float) -> None:
    """The plan is the area under the rate; after the last stage its last rate goes on."""
    assert planned_operations(what, until_s) == pytest.approx(planned)


@pytest.mark.parametrize(
    ("lag", "met"),
    [
        (Lag(0.001, 0.05, 0.4, 350, 350), True),
        (Lag(0.001, 0.051, 0.4, 350, 350), False),
        (Lag(0.001, 0.002, 0.4, 350, 349, saturated=1), False),
        (None, False),
    ],
)
def test_driver_on_time(lag: Lag | None, met: bool) -> None:
    """Late above 50 ms at p99, saturated with one refusal, silent without a report."""
    run = record()
    lags = {"sturdy": run.lags["sturdy"]} | ({"naive": lag} if lag else {})
    assert _unmet(replace(run, lags=lags)) == ([] if met else [("naive", "driver on time")])


def test_enough_operations() -> None:
    """A run of 99 operations supports no verdict."""
    assert ("naive", "enough operations") in _unmet(_naive(steady(healthy, until_s=9.9)))
    assert ("naive", "enough operations") not in _unmet(_naive(steady(healthy, until_s=10)))


@pytest.mark.parametrize(
    ("changes", "unmet"),
    [
        ({"bit": False}, ["slow-db bit"]),
        ({"healed": False, "after": "round trip 203 ms"}, ["slow-db healed"]),
        ({"injected_s": None, "bit": False, "healed": False}, ["slow-db bit"]),
    ],
)
def test_fault_bit_and_healed(changes: dict[str, object], unmet: list[str]) -> None:
    """A fault that did not bite, did not heal or never came makes the run worth nothing."""
    run = replace(record(), faults=(fault(**changes),))
    assert [name for _, name in _unmet(run)] == unmet


def test_fault_without_a_record() -> None:
    """A planned fault that nobody recorded was never injected."""
    assert _unmet(replace(record(), faults=())) == [("", "slow-db bit")]


def test_an_instance_that_died_by_itself() -> None:
    """A death that no fault caused is named; one that a fault caused is no news."""
    run = record()
    run.history.events += [
        Event(12.0, "service", "naive/app-1: killed", {"instance": "naive/app-1"}),
        Event(15.5, "service", "naive/db-1: exited with 137", {"unexpected": True}),
    ]
    assert _unmet(run) == [("", "nothing died by itself")]
    details = [guard.detail for guard in _guards(run) if not guard.met]
    assert details == ["naive/db-1: exited with 137 at 15.5 s"]


@pytest.mark.parametrize("links", [{LINK_ENDS[1]: 200}, {LINK_ENDS[0]: 0, LINK_ENDS[1]: 200}])
def test_link_that_carried_nothing(links: dict[str, int]) -> None:
    """A broken link of which the baseline made no use proves nothing about that design."""
    run = replace(record(), links=links)
    assert _unmet(run) == [("naive", "traffic on app -> db:5432")]


def test_replicas_of_a_link_count_together() -> None:
    """A replica may be idle, as a standby is, while the link as a whole carries traffic."""
    ends = ("naive/app-1 -> db-1:5432", "naive/app-1 -> db-2:5432", "naive/client -> app-1:80")
    run = replace(record(), faults=(fault(targets=ends),), links={ends[0]: 7, ends[2]: 9})
    assert not _unmet(run)
    traffic = [guard for guard in _guards(run) if guard.name.startswith("traffic")]
    assert [(guard.name, guard.detail) for guard in traffic] == [
        ("traffic on app -> db:5432", "7 packets in the baseline"),
        ("traffic on client -> app:80", "9 packets in the baseline"),
    ]


def test_faults_of_instances_need_no_link() -> None:
    """A killed instance is no link, so nothing is asked of one."""
    run = replace(record(), faults=(fault(targets=("naive/app-1",)),), links={})
    assert not _unmet(run)


def test_a_run_that_broke_off() -> None:
    """Trouble of the lab itself and an interruption are reasons not to judge, also from disk."""
    run = replace(record(), interrupted="stopped from outside")
    run.history.events.append(Event(9.0, "problem", "the daemon went away"))
    assert _unmet(run) == [("", "nothing went wrong"), ("", "ran to its end")]


def test_no_faults_at_all() -> None:
    """Without faults the first phase is what everything is compared with."""
    run = replace(record(), experiment=experiment(faults=()), faults=())
    assert not _unmet(run)


@pytest.mark.parametrize(
    ("looks", "found", "met"),
    [(30, [], True), (30, ["pool/app-1 -> db-1:5432: pool/app-1 connected past it"], False)],
)
def test_a_connection_past_its_proxy_earns_no_verdict(
    looks: int, found: list[str], met: bool
) -> None:
    """A fault on that link never reached it."""
    run = record()
    data = {"looks": looks, "found": found}
    run.history.events.append(Event(20.0, "bypass", "; ".join(found) or "none", data))
    (guard,) = (g for g in _guards(run) if g.name == "every link through its proxy")
    assert guard.met == met
    assert f"in {looks} looks" in guard.detail


def test_a_fault_that_waited_in_vain_says_so_for_its_design() -> None:
    """One design was broken, the other never got there: the run has proved nothing."""
    waits = ScheduledFault(
        fault=SlowLink(), at_s=10, for_s=5, name="cut", when="app.locked", within_s=8
    )
    never = fault(
        name="cut", design="sturdy", injected_s=None, never="`app.locked` did not come true"
    )
    bit = fault(name="cut", design="naive", text="naive: latency")
    run = replace(record(), experiment=experiment(faults=(waits,)), faults=(bit, never))
    (unmet,) = [guard for guard in _guards(run) if not guard.met]
    assert (unmet.design, unmet.name, unmet.detail) == (
        "sturdy",
        "cut bit",
        "`app.locked` did not come true",
    )
    met = next(g for g in _guards(run) if (g.design, g.name) == ("naive", "cut bit"))
    assert met.detail.startswith("latency: ")
