"""DNS messages of the network agent: what is asked, what is answered, and what is no message."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engines.docker.agent import dns
from lab.engines.docker.agent.dns import MalformedError, answer, ask, read_answer, read_question
from lab.engines.docker.agent.names import Names
from lab.engines.docker.naming import RCODES

# `dig +noedns db.`, as dig 9.18 sends it: id 0x1a2b, recursion desired, type A.
DIG = bytes.fromhex("1a2b 0120 0001 0000 0000 0000 02 6462 00 0001 0001")


def test_a_question_of_dig():
    question = read_question(DIG)
    assert (question.number, question.name, question.kind) == (0x1A2B, "db", dns.TYPE_A)
    assert not question.extended
    assert question.on_behalf is None


def test_an_answer_is_what_the_rfc_says():
    """RFC 1035, 4.1: the question again, and a record for each address that points to its name."""
    found = answer(read_question(DIG), dns.NO_ERROR, ["198.18.7.129"])
    assert found == bytes.fromhex(
        "1a2b 8580 0001 0001 0000 0000 02 6462 00 0001 0001c00c 0001 0001 00000001 0004 c6120781"
    )
    assert read_answer(found, 0x1A2B) == (0, ["198.18.7.129"])
    assert read_answer(found, 0x1A2C) is None
    assert read_answer(DIG, 0x1A2B) is None


def test_upper_case_is_repeated_and_means_the_same():
    """Some resolvers ask `dB` to tell forgeries (draft-vixie-dnsext-dns0x20)."""
    question = read_question(DIG.replace(b"db", b"dB"))
    assert question.name == "db"
    assert b"\x02dB\x00" in answer(question, dns.NO_SUCH_NAME)


@given(
    st.lists(st.from_regex(r"\A[a-z0-9-]{1,63}\Z"), min_size=1, max_size=4),
    st.integers(0, 0xFFFF),
    st.none() | st.ip_addresses(v=4).map(str),
    st.lists(st.ip_addresses(v=4).map(str), max_size=20),
)
def test_what_is_asked_is_read_and_what_is_answered_as_well(labels, number, client, addresses):
    name = ".".join(labels)[:250].strip(".")
    name = ".".join(label for label in name.split(".") if label)
    question = read_question(ask(number, name, client))
    assert (question.number, question.name, question.on_behalf) == (number, name, client)
    found = answer(question, dns.NO_ERROR, addresses)
    assert read_answer(found, number) == (0, addresses)
    assert int.from_bytes(found[10:12], "big") == question.extended


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: DIG[:12] + rest))
def test_nothing_that_comes_breaks_the_reader(data):
    """Whatever bytes come, they are a question or malformed."""
    for read in (read_question, lambda data: read_answer(data, 7)):
        with contextlib.suppress(MalformedError):
            read(data)


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (b"", None),
        (DIG[:11], None),
        (DIG[:2] + b"\x81\x80" + DIG[4:], None),  # an answer
        (DIG[:2] + b"\x28\x00" + DIG[4:], "NOTIMP"),  # an update
        (DIG[:4] + b"\x00\x02" + DIG[6:], "FORMERR"),  # two questions
        (DIG[:6] + b"\x00\x01" + DIG[8:], "FORMERR"),  # an answer in it
        (DIG[:12], "FORMERR"),
        (DIG[:-1], "FORMERR"),
        (DIG[:12] + b"\xc0\x0c\x00\x01\x00\x01", "FORMERR"),  # a pointer to itself
        (DIG[:12] + b"\x3fabc", "FORMERR"),  # a label that does not end
        (DIG[:12] + b"\x01a" * 200 + b"\x00\x00\x01\x00\x01", "FORMERR"),
        (DIG[:10] + b"\x00\x01" + DIG[12:], "FORMERR"),  # a record that is not there
        (DIG[:-2] + b"\x00\x03", "NOTIMP"),  # class CHAOS
    ],
)
def test_what_is_no_question(data, rcode):
    """Answered with what is wrong where that is possible, else not at all."""
    with pytest.raises(MalformedError) as caught:
        read_question(data)
    reply = caught.value.answer
    if rcode is None:
        assert reply is None
    else:
        assert reply is not None
        assert reply[:2] == DIG[:2]
        assert RCODES[reply[3] & 0xF] == rcode
        assert len(reply) == 12


HOME, APP, WEB = "198.18.7.2", "198.18.7.5", "198.18.7.6"
ZONES = {APP: {"db": ["198.18.7.129", "198.18.7.130"]}, WEB: {"app": ["198.18.7.131"]}}


class Asked:
    """A name server without a socket."""

    def __init__(self) -> None:
        self.names = Names()
        self.names._home, self.names._zones = HOME, ZONES

    def order(self, do: str, **arguments: Any) -> Any:
        return asyncio.run(getattr(self.names, do)(**arguments))

    def ask(self, name: str, asker: str = APP, kind: int = dns.TYPE_A) -> tuple[Any, float]:
        data = ask(7, name)
        data = data[:-4] + struct.pack("!2H", kind, dns.CLASS_IN)
        reply, delay_s = asyncio.run(self.names.answer_to(data, asker))
        return (None if reply is None else read_answer(reply, 7)), delay_s


def test_each_client_has_its_own_names():
    """Nothing is asked elsewhere; an IPv6 address of a name that has none is no error."""
    asked = Asked()
    assert asked.ask("db") == ((0, ZONES[APP]["db"]), 0.0)
    assert asked.ask("DB") == ((0, ZONES[APP]["db"]), 0.0)
    assert asked.ask("db", kind=dns.TYPE_AAAA) == ((0, []), 0.0)
    assert asked.ask("db", WEB) == ((3, []), 0.0)
    assert asked.ask("example.com") == ((3, []), 0.0)
    assert asked.ask("db", "198.18.7.99") == ((3, []), 0.0)
    assert asked.order("names_asked", clients=[APP, WEB], name="db", why="a") == [3, 0]


def test_only_the_lab_asks_for_others():
    """And is not counted."""
    names = Asked().names
    data = ask(7, "db", APP)
    reply, _ = asyncio.run(names.answer_to(data, HOME))
    assert reply is not None
    assert read_answer(reply, 7) == (0, ZONES[APP]["db"])
    reply, _ = asyncio.run(names.answer_to(data, WEB))
    assert reply is not None
    assert read_answer(reply, 7) == (3, [])
    assert asyncio.run(names.names_asked([APP], "db", "a")) == [0, 0]
    assert asyncio.run(names.names_asked([WEB], "db", "a")) == [1, 0]


def test_answers_are_spoilt_for_whom_and_what_was_said():
    """Twice is once, and each is taken back alone."""
    asked = Asked()
    for _ in range(2):
        asked.order("spoil_names", clients=[APP], name="db", why="a", spoiling={"rcode": 2})
    assert asked.ask("db") == ((2, []), 0.0)
    assert asked.ask("app", WEB) == ((0, ZONES[WEB]["app"]), 0.0)
    late = {"addresses": ["198.18.7.127"], "delay_s": 0.2}
    asked.order("spoil_names", clients=[APP], name="db", why="b", spoiling=late)
    assert asked.ask("db") == ((0, ["198.18.7.127"]), 0.2)
    assert asked.order("spoilt_names") == [(APP, "db")]
    assert asked.order("names_asked", clients=[APP], name="db", why="a") == [2, 1]
    asked.order("mend_names", clients=[APP], name="db", why="b")
    assert asked.ask("db") == ((2, []), 0.0)
    asked.order("mend_names", clients=[APP, WEB], name="db", why="a")
    asked.order("mend_names", clients=[APP], name="db", why="a")
    assert asked.ask("db") == ((0, ZONES[APP]["db"]), 0.0)
    assert asked.order("spoilt_names") == []
    asked.order("spoil_names", clients=[APP], name="db", why="c", spoiling={"silent": True})
    assert asked.ask("db") == (None, 0.0)


async def test_it_answers_over_udp_and_tcp():
    """On loopback, as Docker's resolver asks: TCP with the length in front."""
    names = Names()
    port = await names.serve_names("127.0.0.1", {"127.0.0.1": {"db": ["198.18.7.129"]}}, 0)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        await loop.sock_sendto(client, b"\x00", ("127.0.0.1", port))  # no answer to that
        await loop.sock_sendto(client, ask(9, "db"), ("127.0.0.1", port))
        data = await asyncio.wait_for(loop.sock_recv(client, 512), 5)
        assert read_answer(data, 9) == (0, ["198.18.7.129"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in (3, 4):
        data = ask(number, "db")
        writer.write(len(data).to_bytes(2, "big") + data)
        size = int.from_bytes(await reader.readexactly(2), "big")
        assert read_answer(await reader.readexactly(size), number) == (0, ["198.18.7.129"])
    writer.close()
    await writer.wait_closed()
    assert names._serving
    for one in names._serving:
        one.close()
    await asyncio.sleep(0)
