"""The agent's packet rules as texts, and what is read back of them from what the kernel says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from lab.engines.docker.agent.rules import LOSSES, NOWHERE, Drop, Rules, names, read
from lab.engines.docker.agent.stage import Change

LINK, OTHER = "198.18.7.130", "198.18.7.131"
QUEUE = "NFQUEUE --queue-num 0 --queue-bypass"


class Kernel(Rules):
    """Rules that are handed to no kernel but kept here, each with the counters [7:420]."""

    def __init__(self) -> None:
        super().__init__()
        self.chains: dict[str, list[str]] = {}

    async def _restore(self, lines: Iterable[str], table: str = "filter") -> None:
        for line in lines:
            if line.startswith(":"):
                self.chains[line.split()[0][1:]] = []
            else:
                self.chains.setdefault(line.split()[1], []).append(line)

    async def _saved(self, table: str = "filter") -> str:
        return "\n".join(f"[7:420] {line}" for lines in self.chains.values() for line in lines)


def test_rules_are_read_back_from_what_the_kernel_says() -> None:
    """Those for real traffic count, those for probes (through `lo`) do not."""
    drops = [Drop(LINK, way, "partition-1f") for way in ("upstream", "downstream")]
    rules = [rule for drop in drops for rule in drop.rules()]
    assert len(set(rules)) == 4
    saved = [f"[3:180] {rule}" for rule in rules] + [f"[7:420] -A INPUT -d {OTHER}/32 ! -i lo"]
    found = [rule for rule in read("\n".join(["*filter", *saved, "COMMIT"])) if rule.real]
    assert [(r.address, r.why, r.drops, r.packets) for r in found] == [
        (LINK, "partition-1f", True, 3),
        (LINK, "partition-1f", True, 3),
        (OTHER, "", False, 7),
    ]


def test_the_same_rules_in_the_order_in_which_iptables_prints_them() -> None:
    """A rule of iptables-nft-save -c 1.8.11 with its own spelling of the probability."""
    (rule,) = read(
        "[210:6090] -A LAB-LOSS-OUT -s 198.18.7.130/32 ! -o lo -m statistic --mode random "
        "--probability 0.10000000009 -m comment --comment loss-1 -j NFQUEUE --queue-num 65535"
    )
    assert (rule.packets, rule.bytes, rule.chain) == (210, 6090, "LAB-LOSS-OUT")
    assert (rule.address, rule.real, rule.why, rule.drops) == (LINK, True, "loss-1", True)


def test_a_lost_packet_is_counted_before_and_on_its_way_out_its_sender_hears_nothing() -> None:
    """Upstream it is dropped; downstream it goes where nobody reads."""
    chance = "-m statistic --mode random --probability 0.050000000"
    up, down = (Drop(LINK, way, "loss-1", 0.05).rules() for way in ("upstream", "downstream"))
    assert up[:2] == [
        f"-A LAB-LOSS-IN -d {LINK}/32 ! -i lo -m comment --comment loss-1",
        f"-A LAB-LOSS-IN -d {LINK}/32 ! -i lo {chance} -m comment --comment loss-1 -j DROP",
    ]
    assert [rule.endswith(f"-j {NOWHERE}") for rule in down] == [False, True, False, True]
    assert all(f"-s {LINK}/32" in rule for rule in down)


def test_each_name_ends_alone_whatever_else_is_on_the_link() -> None:
    """Two partitions and two losses meet on one link; one of each ends."""

    async def go() -> None:
        kernel = Kernel()
        await kernel.account([LINK, OTHER])
        for _ in range(2):
            await kernel.cut([LINK, OTHER], "both", "one")
            await kernel.cut([LINK], "upstream", "two")
            await kernel.lose([LINK], "downstream", 0.1, "three")
            await kernel.lose([LINK], "both", 0.2, "four")
        assert len(kernel.chains["LAB-CUT-IN"]) == 6
        assert await kernel.cuts() == {LINK: ["one", "two"], OTHER: ["one"]}
        assert await kernel.losses() == {LINK: ["four", "three"]}
        for _ in range(2):
            await kernel.mend([LINK, OTHER], "both", "one")
            await kernel.stop_losing([LINK], "three")
        assert await kernel.cuts() == {LINK: ["two"]}
        assert await kernel.losses() == {LINK: ["four"]}
        await kernel.mend([LINK], "upstream", "two")
        await kernel.stop_losing([LINK], "four")
        assert await kernel.cuts() == await kernel.losses() == {}
        assert not [r for chain in (*LOSSES.values(), "LAB-CUT-IN") for r in kernel.chains[chain]]

    asyncio.run(go())


def test_traffic_counts_neither_probes_nor_what_only_counts() -> None:
    """Dropped are the packets of rules that drop, also those of rules that are gone."""

    async def go() -> None:
        kernel = Kernel()
        await kernel.account([LINK])
        await kernel.cut([LINK], "upstream", "one")
        await kernel.lose([LINK], "upstream", 0.5, "two")
        assert await kernel.traffic() == {LINK: [14, 840, 14]}
        assert await kernel.lost("two") == {LINK: (14, 14)}
        await kernel.mend([LINK], "upstream", "one")
        assert await kernel.traffic() == {LINK: [14, 840, 21]}

    asyncio.run(go())


@pytest.mark.parametrize(
    ("change", "stream", "rule"),
    [
        (
            Change("double", 0.1),
            "downstream",
            f"-A LAB-HOLD-OUT -s {LINK}/32 -m comment --comment d-1 -j {QUEUE}",
        ),
        (
            Change("hold", delay_s=1.0, opening=True),
            "upstream",
            f"-A LAB-HOLD-IN -d {LINK}/32 -p tcp --syn -m comment --comment d-1 -j {QUEUE}",
        ),
    ],
)
def test_only_packets_of_a_link_that_has_such_a_fault_are_taken(
    change: Change, stream: str, rule: str
) -> None:
    """And where opening alone is slow, only the first packet of each connection."""
    assert change.rule(LINK, stream, "d-1") == rule
    assert names(f"[1:60] {rule}", ["LAB-HOLD-IN", "LAB-HOLD-OUT"]) == {LINK: ["d-1"]}
