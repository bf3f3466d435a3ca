"""A scheduled fault: proves it bit, always heals, and tells when it did not come off."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from lab.clock import Clock
from lab.errors import EngineError, HealError, InjectionError
from lab.experiment import ScheduledFault
from lab.faults import injection
from lab.faults.base import Fault, Observation
from lab.faults.injection import Injection, prepare
from lab.plan import deploy_topology
from lab.topology import Link, Service, Topology


class Switch:
    """A cluster of one lamp; enough for a fault that turns it off."""

    def __init__(self) -> None:
        self.on = True
        self.stuck = False
        self.deployment: Any = None


class Dark(Fault):
    """The lamp is off."""

    kind: ClassVar[str] = "dark"
    bites: bool = True

    def describe(self) -> str:
        return "the lamp is off"

    def targets(self, deployment: Any) -> tuple[str, ...]:
        return ("lamp",)

    async def inject(self, cluster: Any) -> None:
        cluster.on = not self.bites

    async def heal(self, cluster: Any) -> None:
        if cluster.stuck:
            raise EngineError("the switch is stuck")
        await asyncio.sleep(0.05)
        cluster.on = True

    async def observe(self, cluster: Any) -> Observation:
        return Observation.of([not cluster.on], "on" if cluster.on else "off")


class DarkOne(Dark):
    """The lamp of one of several is off."""

    service: str

    def members(self) -> tuple[str, ...]:
        return (self.service,)

    def describe(self) -> str:
        return f"{self.service} is dark"


def scheduled(fault: Fault, at_s: float = 0.05, for_s: float = 0.2) -> ScheduledFault:
    """The fault on a short timeline."""
    return ScheduledFault(fault=fault, at_s=at_s, for_s=for_s, name="dark")


def injected(fault: Fault, lamp: Switch, stages: list[str] | None = None) -> Injection:
    """The injection under test."""
    return Injection(
        scheduled(fault), lamp, Clock.starting_in(0), lambda _, s: (stages or []).append(s)
    )


async def test_a_fault_is_measured_before_during_and_after():
    """The record holds what was seen, and the times in order."""
    stages: list[str] = ["start"]
    record = await injected(Dark(), Switch(), stages).run()
    assert (record.before, record.during, record.after) == ("on", "off", "on")
    assert record.bit
    assert record.healed
    assert stages == ["start", "before", "injected", "bit", "healed", "gone"]
    assert record.planned_s <= record.injected_s <= record.confirmed_s < record.healed_s
    assert record.healed_s <= record.gone_s


async def test_healed_means_ordered_and_gone_means_seen():
    """What healing itself takes (here 50 ms) lies between the two; the order is on time."""
    record = await injected(Dark(), Switch()).run()
    assert record.gone_s - record.healed_s >= 0.05
    planned_s = 0.05 + 0.2
    assert planned_s <= record.healed_s < planned_s + 0.04


async def test_whom_it_is_about_is_looked_at_once_before():
    """Asked again just before injecting: the same answer needs no second look."""
    services = {"app": Service("app", replicas=2)}
    lamp = Switch()
    lamp.deployment = deploy_topology(Topology("t", services, (), Link("client", "app", 80)))
    told: list[tuple[str, str, str]] = []
    fault = DarkOne(service="one of app")
    work = Injection(
        scheduled(fault, at_s=0.3),
        lamp,
        Clock.starting_in(0),
        lambda record, stage: told.append((stage, record.text, record.before)),
    )
    await work.run()
    (before,) = [line for line in told if line[0] == "before"]
    assert before[2] == "on"
    assert before[1] in ("one of app (= app-1) is dark", "one of app (= app-2) is dark")


async def test_a_fault_without_effect_did_not_bite():
    """A command that returned well is no proof."""
    record = await injected(Dark(bites=False), Switch()).run()
    assert not record.bit
    assert record.during == "on"


async def test_what_refuses_a_fault_says_which_one_and_what_to_do():
    """Whoever asked, a helper of the engine or the fault itself."""

    class Unhosted(Dark):
        remedy: str | None = None

        async def prepare(self, cluster: Any) -> None:
            raise EngineError("the helper has no hands", remedy=self.remedy)

    with pytest.raises(EngineError) as caught:
        await prepare(scheduled(Unhosted()), Switch())
    assert caught.value.message == "the lamp is off: the helper has no hands"
    assert caught.value.remedy == "docs/reference/faults.md says what `dark` needs"
    with pytest.raises(EngineError, match="no hands") as caught:
        await prepare(scheduled(Unhosted(remedy="grow some")), Switch())
    assert caught.value.remedy == "grow some"


async def test_cancelling_heals_first():
    """Ctrl-C in the middle of a fault leaves nothing broken."""
    lamp = Switch()
    task = asyncio.create_task(injected(Dark(), lamp).run())
    await asyncio.sleep(0.12)
    assert not lamp.on
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lamp.on


async def test_a_fault_that_does_not_come_off_is_an_error():
    """Healing that fails outranks everything else."""
    lamp = Switch()
    lamp.stuck = True
    with pytest.raises(HealError, match="the switch is stuck"):
        await injected(Dark(), lamp).run()


async def test_healing_that_changes_nothing_is_an_error(monkeypatch):
    """Healed means measured to be gone."""
    monkeypatch.setattr(injection, "HEAL_DEADLINE_S", 0.3)

    class StaysDark(Dark):
        async def heal(self, cluster: Any) -> None:
            pass

    with pytest.raises(HealError, match="still in effect"):
        await injected(StaysDark(), Switch()).run()


async def test_a_fault_already_there_proves_nothing():
    """What was broken before cannot be caused by the fault."""
    lamp = Switch()
    lamp.on = False
    with pytest.raises(InjectionError, match="already so before"):
        await injected(Dark(), lamp).run()


def test_a_fault_on_some_targets_has_neither_bitten_nor_healed():
    """Both proofs are about every target."""
    mixed = Observation.of([True, False], "one of two")
    assert not mixed.in_effect
    assert not mixed.gone
    assert Observation.of([True, True], "").in_effect
    assert Observation.of([False, False], "").gone
    assert not Observation.of([], "no target").gone
