"""What a long try says, said to real servers: they answer as much as asked for, and close."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from lab.engines.docker.agent.agent import Agent
from lab.proxies.greetings import conversation, spoken
from tests.integration import local_servers

LIMIT_S = 5.0


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
@pytest.mark.parametrize("size_bytes", [1_000, 8_000])
async def test_postgres_gives_and_takes_so_much(stream, size_bytes):
    with local_servers.postgres() as server:
        saying = conversation(5432, stream, size_bytes)
        found = await Agent().exchange("127.0.0.1", server.port, saying, LIMIT_S)
    assert found["outcome"] == "answered"
    assert size_bytes - 100 < found["sent_bytes"] < size_bytes + 500
    assert size_bytes - 100 < found["received_bytes"] < size_bytes + 500


async def test_postgres_is_asked_for_none_of_its_connections():
    """With all of them taken it answers the same, and not that there are too many clients."""
    settings = ("max_connections=3", "superuser_reserved_connections=0", "max_wal_senders=0")
    with local_servers.postgres(*settings) as server:
        where = {"host": "127.0.0.1", "port": server.port, "user": "postgres"}
        taken = [await asyncpg.connect(**where) for _ in range(3)]
        with pytest.raises(asyncpg.TooManyConnectionsError):
            await asyncpg.connect(**where)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(spoken(conversation(5432, "downstream", 1_000)))
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        writer.close()
        for connection in taken:
            await connection.close()
    assert b"no PostgreSQL user name specified" in answer


@pytest.mark.parametrize("size_bytes", [1, 1_000, 64_000])
async def test_valkey_gives_and_takes_so_much(size_bytes):
    with local_servers.valkey() as server:
        saying = conversation(6379, "downstream", size_bytes)
        found = await Agent().exchange("127.0.0.1", server.port, saying, LIMIT_S)
    assert found["outcome"] == "answered"
    assert size_bytes <= found["received_bytes"] < size_bytes + 50
