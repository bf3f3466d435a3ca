"""A container without its network: the rules as texts, and the echo that nobody answers then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from lab.engines.docker.agent.cable import Cable
from lab.engines.docker.agent.echo import checksum, echo_request, is_reply
from lab.engines.docker.agent.kernel import OrderError

HAND, PROMETHEUS = "198.18.7.254", "198.18.7.3"
EMPTY = {"INPUT": [], "OUTPUT": []}


class Kernel(Cable):
    """Rules that are handed to no kernel but kept here; one with `queues` takes NFQUEUE."""

    def __init__(self, *, queues: bool = True) -> None:
        super().__init__()
        self.queues = queues
        self.chains: dict[str, list[str]] = {hook: [] for hook in EMPTY}

    async def _restore(self, lines: Iterable[str], table: str = "filter") -> None:
        lines = list(lines)
        if not self.queues and any("NFQUEUE" in line for line in lines):
            raise OrderError("no chain/target/match by that name")  # then none is applied
        for line in lines:
            do, _, rest = line.partition(" ")
            chain, _, rule = rest.partition(" ")
            if do.startswith(":") or do == "-F":
                self.chains[(do[1:] if do.startswith(":") else chain)] = []
            elif do == "-A":
                self.chains.setdefault(chain, []).append(rule)
            elif do == "-I":
                self.chains[chain].insert(0, rule.removeprefix("1 "))
            elif do == "-D":
                self.chains[chain].remove(rule)
            elif do == "-X":
                assert not self.chains.pop(chain)

    async def _saved(self, table: str = "filter") -> str:
        return "\n".join(
            f"[0:0] -A {chain} {rule}" for chain, rules in self.chains.items() for rule in rules
        )


def test_a_pulled_cable_as_rules() -> None:
    """Its own loopback and those that look on come first; what goes out is lost in silence."""

    async def go() -> None:
        kernel = Kernel()
        await kernel.tend()
        assert kernel.chains == EMPTY
        for _ in range(2):
            await kernel.pull("unplug-1", [HAND, PROMETHEUS])
        assert kernel.chains == {
            "INPUT": ["-j LAB-CABLE-IN"],
            "OUTPUT": ["-j LAB-CABLE-OUT"],
            "LAB-CABLE-IN": [
                "-i lo -j RETURN",
                f"-s {HAND}/32 -j RETURN",
                f"-s {PROMETHEUS}/32 -j RETURN",
                "-m comment --comment unplug-1 -j DROP",
            ],
            "LAB-CABLE-OUT": [
                "-o lo -j RETURN",
                f"-d {HAND}/32 -j RETURN",
                f"-d {PROMETHEUS}/32 -j RETURN",
                "-m comment --comment unplug-1 -j NFQUEUE --queue-num 65535",
            ],
        }

    asyncio.run(go())


@pytest.mark.parametrize("queues", [True, False])
def test_nothing_stays_when_the_last_one_has_put_it_back(queues: bool) -> None:
    """In whatever order; an agent that has pulled nothing itself can put it back as well."""

    async def go() -> None:
        kernel = Kernel(queues=queues)
        await kernel.tend()
        await kernel.pull("one", [HAND])
        await kernel.pull("two", [HAND])
        assert await kernel.pulled() == ["one", "two"]
        after = Kernel(queues=queues)
        after.chains = kernel.chains
        await after.tend()
        await after.put_back("one", [HAND])
        await after.put_back("one", [HAND])
        assert await after.pulled() == ["two"]
        await after.put_back("two", [HAND])
        assert after.chains == EMPTY
        await after.put_back("two", [HAND])
        assert after.chains == EMPTY

    asyncio.run(go())


def test_an_echo_and_its_reply() -> None:
    """A reply has the number and the content of its request; a packet of its own checksums to 0."""
    request = echo_request(0x1234, b"chaoslab")
    assert request[:2] == b"\x08\0"
    assert checksum(request) == 0
    header = bytes([0x45, *range(19)])
    assert is_reply(header + b"\0" + request[1:], request)
    assert not is_reply(header + request, request)
    assert not is_reply(header + b"\0" + echo_request(0x1235, b"chaoslab")[1:], request)
