"""The longer try of a link: both engines measure the same, and servers understand it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from lab.engines import Exchange
from lab.engines.docker.agent.agent import Agent
from lab.errors import EngineError
from lab.proxies.embedded.control import EmbeddedProxies
from lab.proxies.greetings import Saying, conversation, spoken
from tests.contract.proxy_servers import EARLY_S, LATE_S, OURS, Link, Server, running, serving

SAYING: Saying = [("ask", 3), ("end", 1)]
ANSWER = b"a" * 100


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(OURS, tmp_path_factory.getbasetemp()) as found:
        yield found


@pytest_asyncio.fixture
async def proxies(server):
    found = EmbeddedProxies(server.url)
    yield found
    found.close()


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One answer per `ask`, and the end of the connection after `end`."""
    heard = await reader.readuntil(b"end")
    writer.write(ANSWER * heard.count(b"ask"))
    await writer.drain()
    writer.close()


async def never_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(ANSWER)
    await reader.read()


async def both_ways(
    proxies: EmbeddedProxies, link: Link, timeout_s: float = 1.0, saying: Saying = SAYING
) -> list[Exchange]:
    """What each engine's way says of the same link."""
    ours = await proxies.exchange(link.name, saying, timeout_s)
    agents = await Agent().exchange("127.0.0.1", link.port, saying, timeout_s)
    return [Exchange(**ours), Exchange(**agents)]


TOXICS: dict[str, tuple[dict[str, Any] | None, str, int]] = {
    "whole": (None, "answered", 300),
    "limited": ({"kind": "limit_data", "bytes": 120}, "answered", 120),
    "limited to nothing": ({"kind": "limit_data", "bytes": 0}, "closed", 0),
    "replies swallowed": ({"kind": "timeout", "timeout": 0}, "closed", 0),
    "requests swallowed": ({"kind": "timeout", "stream": "upstream", "timeout": 0}, "silent", 0),
    "reset": ({"kind": "reset_peer", "stream": "upstream", "timeout": 0}, "reset", 0),
}


@pytest.mark.parametrize("case", TOXICS)
async def test_both_engines_see_the_same(server: Server, proxies: EmbeddedProxies, case: str):
    toxic, outcome, received_bytes = TOXICS[case]
    async with serving(answers) as peer:
        link = server.link(peer.port)
        if toxic:
            settings = dict(toxic)
            await link.add(settings.pop("kind"), settings.pop("stream", "downstream"), **settings)
        for found in await both_ways(proxies, link, 0.3):
            assert (found.outcome, found.received_bytes) == (outcome, received_bytes)
            assert found.sent_bytes == len(b"askaskaskend")


async def test_refused(server: Server, proxies: EmbeddedProxies):
    async with serving(answers) as peer:
        link = server.link(peer.port)
        await link.enable(False)
        assert [found.outcome for found in await both_ways(proxies, link)] == ["refused"] * 2


@pytest.mark.parametrize("case", ["whole", "requests swallowed", "reset"])
async def test_both_engines_see_the_same_in_a_short_try(
    server: Server, proxies: EmbeddedProxies, case: str
):
    toxic, outcome, _ = TOXICS[case]
    async with serving(never_closes) as peer:
        link = server.link(peer.port)
        if toxic:
            await link.add(toxic["kind"], toxic["stream"], timeout=toxic["timeout"])
            await link.add("timeout", "downstream", timeout=0)
        ours = await proxies.probe(link.name, 0.3)
        agents = await Agent().probe("127.0.0.1", link.port, "hello", 0.3)
    assert (ours.outcome, agents["outcome"]) == (outcome, outcome)
    assert ours.connect_s is not None
    assert agents["connect_s"] is not None


async def test_answers_without_an_end_are_silence_that_says_how_much_came(
    server: Server, proxies: EmbeddedProxies
):
    async with serving(never_closes) as peer:
        for found in await both_ways(proxies, server.link(peer.port), 0.3):
            assert (found.outcome, found.received_bytes) == ("silent", len(ANSWER))
            assert found.seconds >= 0.3 - EARLY_S


async def test_first_byte_last_byte_and_end_are_timed_apart(
    server: Server, proxies: EmbeddedProxies
):
    """300 bytes come in four slices, 100 ms apart; then the end is late."""
    async with serving(answers) as peer:
        link = server.link(peer.port)
        await link.add("slicer", average_size=100, size_variation=0, delay=100_000)
        await link.add("slow_close", delay=200)
        for found in await both_ways(proxies, link, 2.0):
            assert found.outcome == "answered"
            assert found.first_s is not None
            assert found.last_s is not None
            assert found.first_s < LATE_S
            assert found.last_s - found.first_s >= 0.2 - EARLY_S  # four slices or more
            assert found.seconds - found.last_s >= 0.2 - EARLY_S


async def test_many_bytes_go_both_ways_at_once(server: Server, proxies: EmbeddedProxies):
    """More than the buffers of both sides hold: whoever only sends first would wait for ever."""

    async def echo(reader, writer):
        left = 8_000_000
        while left and (data := await reader.read(65536)):
            left -= len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async with serving(echo) as peer:
        for found in await both_ways(proxies, server.link(peer.port), 10.0, [("x" * 8, 1_000_000)]):
            assert (found.outcome, found.received_bytes) == ("answered", 8_000_000)


async def test_what_is_said_is_not_traffic(server: Server, proxies: EmbeddedProxies):
    async with serving(answers) as peer:
        link = server.link(peer.port)
        await proxies.exchange(link.name, SAYING, 1.0)
        assert (await proxies.traffic())[link.name] == (0, 0)


async def test_a_body_that_is_no_saying_is_refused(server: Server, proxies: EmbeddedProxies):
    async with serving(answers) as peer:
        link = server.link(peer.port)
        with pytest.raises(EngineError, match="pairs of a text and a number"):
            await proxies.exchange(link.name, ["hello"], 1.0)  # type: ignore[list-item]


@pytest.mark.parametrize("size_bytes", [1_000, 8_000, 64_000])
@pytest.mark.parametrize("port", [6379, 8000])
def test_requests_are_about_as_large_as_asked_for(port: int, size_bytes: int):
    said = len(spoken(conversation(port, "upstream", size_bytes)))
    assert size_bytes * 0.9 <= said <= max(size_bytes * 1.1, 4_100)


def test_no_header_is_longer_than_servers_take():
    text = spoken(conversation(8000, "upstream", 64_000))
    assert max(len(line) for line in text.split(b"\r\n")) < 4_000
    assert text.count(b"Connection: close") == 1
    assert text.endswith(b"Connection: close\r\n\r\n")


def test_a_startup_message_is_as_long_as_it_says():
    """And shorter than the server's limit of 10,000 bytes."""
    text = spoken(conversation(5432, "downstream", 64_000))
    assert int.from_bytes(text[:4], "big") == len(text) < 10_000
    assert text[4:8] == b"\0\3\0\0"
    assert text[8:].startswith(b"_pq_.")
    assert text.endswith(b"\0\0")
