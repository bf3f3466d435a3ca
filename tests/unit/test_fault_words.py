"""What faults say of what they saw: totals and ranges, in plain words, and what mends a refusal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lab.engines import Disturbable, Exchange, Partitionable, Point, Volley
from lab.faults import KINDS
from lab.faults.base import after
from lab.faults.failpoint import _in_words
from lab.faults.toxic import summary_of_rates
from lab.plan import deploy_topology
from lab.topology import Link, Service, Topology
from lab.units import times

SERVICES = {"app": Service("app", replicas=2), "db": Service("db")}
LINKS = (Link("app", "db", 80),)


class Line:
    """A cluster whose datagrams take so long, one stream of one link end after the other."""

    def __init__(self, *took_s: float | None) -> None:
        topology = Topology("t", SERVICES, LINKS, Link("client", "app", 80))
        self.deployment = deploy_topology(topology)
        self._took_s = list(took_s)

    async def volley(self, _end: Any, _stream: str, count: int, *_: Any) -> Volley:
        took_s = self._took_s.pop(0)
        arrived = 0 if took_s is None else count
        return Volley(count, arrived, 0, 0, 0, took_s, took_s)

    async def disturbed(self) -> dict[str, Any]:
        return {}

    async def cuts(self) -> dict[str, Any]:
        return {}


def line(*took_s: float | None) -> Any:
    """It has every ability that somebody may ask for; only looking is used."""
    cluster = Line(*took_s)
    abilities = (Disturbable, Partitionable)
    names = [name for one in abilities for name in dir(one) if not name.startswith("_")]
    able = dict.fromkeys(names, print)
    own = {name: getattr(cluster, name) for name in ("volley", "disturbed", "cuts", "deployment")}
    return SimpleNamespace(**{**able, **own})


async def test_times_are_put_in_order_as_times_not_as_words():
    """344 us are less than 22 ms, although a 3 comes after a 2."""
    fault = KINDS["packet_delay"].model_validate({"link": "app -> db", "delay": "30ms"})
    seen = await fault.observe(line(0.022, 0.0329, 0.000344, 0.0000689))
    assert seen.text == "datagrams take 68.9 us to 32.9 ms"
    seen = await fault.observe(line(None, None, None, None))
    assert seen.text == "no datagram arrives"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([Point("a", armed=True, reached=1, struck=0, held=0)], "reached once, struck 0"),
        (
            [Point("a", armed=True, reached=7, struck=2, held=1)] * 2,
            "reached 14 times, struck 4, 2 held",
        ),
        ([Point("a", armed=False, reached=0, struck=0, held=0)] * 3, "not armed"),
        (
            ["exited (137)", Point("a", armed=True, reached=2, struck=0, held=0), "exited (137)"],
            "exited (137), reached 2 times, struck 0",
        ),
    ],
)
def test_a_failpoint_counts_all_instances_together(seen, words):
    """Two replicas are one line, not two that differ in a number."""
    assert _in_words(seen) == words


def test_several_ends_are_one_range():
    """Of each outcome; 3 ms are less than 20 ms."""
    seen = [("200", 0.02), ("200", 0.003), ("silent", None), ("200", 0.0045), ("silent", None)]
    assert after(seen) == "200 after 3 ms to 20 ms, silent"
    exchanges = [Exchange("answered", 1.0, n, 1, 0.0, 1.0) for n in (9 << 10, 90 << 10, 200 << 10)]
    exchanges.append(Exchange("silent", 1.0, 0, 0, None, None))
    assert summary_of_rates(exchanges, "upstream") == "9 KiB/s to 200 KiB/s, silent"


def test_once_is_a_word():
    assert [times(1), times(0), times(2)] == ["once", "0 times", "2 times"]
