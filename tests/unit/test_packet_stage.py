"""Packets in this process's hands: the netlink encoding, and what is done to each."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engines.docker.agent import netlink
from lab.engines.docker.agent.netlink import Packet, attributes, bind, messages, packets, verdict
from lab.engines.docker.agent.stage import COPY, LATER, Stage, damaged, opens

LINK, CLIENT = "198.18.7.130", "198.18.7.3"


def ip(source: str, target: str, protocol: int, body: bytes) -> bytes:
    """A packet with a header of 20 bytes."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + ends + body


def tcp(flags: int, *, source: str = CLIENT, target: str = LINK) -> bytes:
    """A TCP packet without content."""
    header = struct.pack("!HHIIBBHHH", 40000, 5432, 1, 0, 0x50, flags, 64240, 0, 0)
    return ip(source, target, socket.IPPROTO_TCP, header)


def udp(body: bytes = b"x" * 20, *, source: str = CLIENT, target: str = LINK) -> bytes:
    """A datagram."""
    header = struct.pack("!HHHH", 40000, 53, 8 + len(body), 0)
    return ip(source, target, socket.IPPROTO_UDP, header + body)


def test_binding_to_a_queue_is_written_as_the_kernel_reads_it() -> None:
    """Byte for byte: command BIND for IPv4; whole packets; room for 65,536 of them."""
    head = bytes.fromhex("0203 0500 00000000 00000000 00 00 0007")
    assert [order[4:] for order in bind(7)] == [
        head + bytes.fromhex("0800 0100 01 00 0002"),
        head + bytes.fromhex("0900 0200 0000ffff 02 000000"),
        head + bytes.fromhex("0800 0300 00010000"),
    ]
    assert all(struct.unpack_from("=I", order)[0] == len(order) for order in bind(7))


def test_a_verdict_names_the_packet_and_may_change_it() -> None:
    """The content is padded; its length is that without padding."""
    ((kind, body),) = messages(verdict(7, 0x0A0B, netlink.NF_ACCEPT, b"12345"))
    assert kind == netlink.VERDICT
    assert body[:4] == bytes.fromhex("00000007")
    assert attributes(body[4:]) == {2: bytes.fromhex("00000001 00000a0b"), 10: b"12345"}
    ((_, body),) = messages(verdict(7, 1, netlink.NF_DROP))
    assert attributes(body[4:]) == {2: bytes.fromhex("00000000 00000001")}


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.booleans(), st.binary(max_size=99))))
def test_packets_are_read_from_any_number_of_messages(
    wanted: list[tuple[int, bool, bytes]],
) -> None:
    """Other messages and attributes between them change nothing."""
    data = b""
    for number, incoming, payload in wanted:
        hook = netlink.LOCAL_IN if incoming else 3
        body = netlink.attribute(1, struct.pack("!IHB", number, 0x0800, hook))
        body += netlink.attribute(0x8005, b"ab") + netlink.attribute(10, payload)
        data += netlink.message(netlink.PACKET, 0, body)
        data += netlink.message(netlink.NLMSG_ERROR, 0, b"")
    assert list(packets(data)) == [Packet(*each) for each in wanted]


def test_packets_for_which_there_was_no_room_are_counted() -> None:
    """By the kernel's table (6.18): those that it did not queue, and those it could not hand over.

    The second line is of another queue.
    """
    rows = [
        "    0    165     0 2 65531     3     4     4003  1",
        "    7    166     0 2 65531 9 9 9  1",
    ]
    assert netlink.overflown("\n".join([*rows, ""]), 0) == 7
    assert netlink.overflown("", 0) == 0


@pytest.mark.parametrize("data", [b"", b"\0" * 15, b"\0" * 64, b"\xff" * 64])
def test_what_is_no_message_is_none(data: bytes) -> None:
    """And does not hang the reader."""
    assert list(packets(data)) == []


@pytest.mark.parametrize(
    ("packet", "first"),
    [(tcp(0x02), True), (tcp(0x42), True), (tcp(0x12), False), (tcp(0x10), False), (udp(), False)],
)
def test_the_first_packet_of_a_connection_is_known(packet: bytes, first: bool) -> None:
    """SYN, also with ECN; not SYN-ACK, not an acknowledgement, no datagram."""
    assert opens(packet) is first


@given(st.integers(), st.binary(min_size=1, max_size=64))
def test_damage_is_one_bit_of_what_is_carried(seed: int, body: bytes) -> None:
    """Addresses and ports stay, so that it arrives where it should, and is found out."""
    before = udp(body)
    after = damaged(before, random.Random(seed))
    assert after[:28] == before[:28]
    turned = [one ^ other for one, other in zip(before, after, strict=True)]
    assert sum(byte.bit_count() for byte in turned) == 1


async def _until(so: Callable[[], bool]) -> None:
    """Wait for it, for two seconds at most."""
    async with asyncio.timeout(2):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Line(Stage):
    """A stage whose kernel is this object: it notes what goes on, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.went: list[tuple[str, int | bytes, float]] = []
        self._queue = self  # type: ignore[assignment]
        self._number = 0

    def accept(self, number: int, payload: bytes | None = None) -> None:
        self._note("accept", payload or number)

    def drop(self, number: int) -> None:
        self._note("drop", number)

    def _send(self, packet: bytes, mark: int) -> None:
        self._note({COPY: "copy", LATER: "later"}[mark], packet)

    def _note(self, what: str, which: int | bytes) -> None:
        self.went.append((what, which, asyncio.get_running_loop().time()))

    async def _restore(self, *_: object) -> None:
        pass

    def arrive(self, payload: bytes, *, incoming: bool = True) -> None:
        self._number += 1
        self._take(Packet(self._number, incoming, payload))

    def words(self) -> list[tuple[str, int | bytes]]:
        return [(what, which) for what, which, _ in self.went]


async def test_a_held_packet_goes_on_after_the_sum_of_all_delays() -> None:
    """In order; what another link carries is not touched."""
    line = Line()
    await line.disturb([LINK], "upstream", "one", "hold", delay_s=0.05)
    await line.disturb([LINK], "both", "two", "hold", delay_s=0.1)
    began_s = asyncio.get_running_loop().time()
    line.arrive(udp())
    line.arrive(udp())
    line.arrive(udp(target="198.18.7.131"))
    assert line.words() == [("accept", 3)]
    await _until(lambda: len(line.went) == 3)
    assert line.words()[1:] == [("accept", 1), ("accept", 2)]
    assert all(at_s - began_s >= 0.15 for _, _, at_s in line.went[1:])
    assert line.longest_s(LINK) == pytest.approx(0.25)


async def test_who_ends_takes_back_its_own_delay_alone() -> None:
    """The packet goes on when the other one lets it."""
    line = Line()
    await line.disturb([LINK], "upstream", "long", "hold", delay_s=60.0)
    await line.disturb([LINK], "upstream", "short", "hold", delay_s=0.05)
    began_s = asyncio.get_running_loop().time()
    line.arrive(udp())
    await line.settle([LINK], "long")
    assert line.went == []
    await _until(lambda: bool(line.went))
    assert line.went[0][2] - began_s >= 0.05
    line.arrive(udp())
    await line.settle([LINK], "short")
    line.arrive(udp())
    assert line.words()[1] == ("accept", 3)
    await _until(lambda: len(line.went) == 3)
    assert line.words()[2:] == [("accept", 2)]


async def test_on_the_way_out_the_kernel_keeps_no_packet_that_waits() -> None:
    """Its sender would take it for unsent: it is dropped at once and sent later, with a mark."""
    line = Line()
    await line.disturb([LINK], "downstream", "one", "hold", delay_s=0.02)
    packet = udp(source=LINK, target=CLIENT)
    line.arrive(packet, incoming=False)
    assert line.words() == [("drop", 1)]
    await _until(lambda: len(line.went) == 2)
    assert line.words()[1:] == [("later", packet)]


async def test_a_packet_is_damaged_then_doubled_so_that_both_are_alike() -> None:
    """The order does not depend on which came first into being."""
    line = Line()
    await line.disturb([LINK], "both", "one", "double")
    await line.disturb([LINK], "both", "two", "damage")
    line.arrive(udp())
    (first, changed), (second, copy) = line.words()
    assert (first, second) == ("accept", "copy")
    assert changed == copy != udp()


async def test_only_opening_is_slow() -> None:
    """What follows the first packet of a connection passes at once."""
    line = Line()
    await line.disturb([LINK], "upstream", "one", "hold", delay_s=60.0, opening=True)
    for packet in (tcp(0x02), tcp(0x10), udp()):
        line.arrive(packet)
    assert line.words() == [("accept", 2), ("accept", 3)]
    await line.settle([LINK], "one")


async def test_chance_decides_for_each_packet() -> None:
    """About the share of many packets is doubled."""
    line = Line()
    line._chance = random.Random(7)
    await line.disturb([LINK], "upstream", "one", "double", share=0.2)
    for _ in range(1000):
        line.arrive(udp())
    doubled = [what for what, _, _ in line.went if what == "copy"]
    assert 160 <= len(doubled) <= 240
