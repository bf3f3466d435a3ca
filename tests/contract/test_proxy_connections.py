"""How connections begin and end without any toxic: the same at Toxiproxy and the lab's proxy."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from tests.contract.proxy_servers import (
    BOTH,
    LATE_S,
    Server,
    free_port,
    running,
    serving,
    until,
)


@pytest.fixture(scope="module", params=BOTH)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.getbasetemp()) as found:
        yield found


async def test_bytes_pass_unchanged_in_both_directions(server: Server):
    data = random.Random(1).randbytes(3_000_000)
    async with serving() as peer:
        client = await server.link(peer.port).open()
        client.send(data)
        assert await client.read(len(data)) == data
        await client.close()


async def test_it_accepts_before_it_dials(server: Server):
    """A client is connected although nobody is there, and then the connection ends."""
    client = await server.link(free_port()).open()
    how, seconds = await client.ending()
    assert (how, seconds < LATE_S) == ("eof", True)
    await client.close()


async def test_what_the_server_said_last_arrives_before_the_end(server: Server):
    async def speak(reader, writer):
        writer.write(b"x" * 200_000)
        writer.close()

    async with serving(speak) as peer:
        client = await server.link(peer.port).open()
        assert len(await client.read(200_001)) == 200_000
        await client.close()


async def test_a_client_that_goes_is_gone_for_the_server(server: Server):
    async with serving() as peer:
        client = await server.link(peer.port).open()
        await client.ask()
        client.writer.close()
        await client.writer.wait_closed()
        await until(lambda: peer.ended)


async def test_a_disabled_proxy_closes_and_refuses_and_comes_back(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        await link.enable(False)
        assert (await client.ending())[0] == "eof"
        with pytest.raises(ConnectionRefusedError):
            await link.open()
        await link.enable(False)
        await link.enable(True)
        again = await link.open()
        assert (await again.ask())[0] == b"hello"
        await client.close()
        await again.close()


async def test_a_deleted_proxy_closes_and_refuses(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        await server.do("DELETE", f"/proxies/{link.name}")
        assert (await client.ending())[0] == "eof"
        with pytest.raises(ConnectionRefusedError):
            await link.open()
        await client.close()


async def test_another_upstream_closes_what_is_open_and_serves_what_comes(server: Server):
    async def other(reader, writer):
        writer.write(b"other")
        await reader.read()
        writer.close()

    async with serving() as peer, serving(other) as elsewhere:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        body = {"upstream": f"127.0.0.1:{elsewhere.port}"}
        assert (await server.do("POST", f"/proxies/{link.name}", body)).status == 200
        assert (await client.ending())[0] == "eof"
        again = await link.open()
        assert await again.read(5) == b"other"
        await client.close()
        await again.close()


async def test_many_connections_at_once(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        clients = await asyncio.gather(*(link.open() for _ in range(200)))
        answers = await asyncio.gather(*(c.ask(b"%d" % n) for n, c in enumerate(clients)))
        assert [got for got, _ in answers] == [b"%d" % n for n in range(200)]
        await asyncio.gather(*(client.close() for client in clients))
        await until(lambda: len(peer.ended) == 200)


async def test_a_server_that_dies_ends_the_connection(server: Server):
    """Killed by RST, as with unread bytes; the client sees an end of some kind, at once."""

    async def die(reader, writer):
        await reader.read(1)
        await asyncio.sleep(0.05)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        writer.transport.abort()

    async with serving(die) as peer:
        client = await server.link(peer.port).open()
        client.send(b"x")
        how, seconds = await client.ending()
        assert (how, seconds < 0.05 + LATE_S) == ("eof", True)
        await client.close()
