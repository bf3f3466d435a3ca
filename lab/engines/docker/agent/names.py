"""A name server for services that find their links by DNS, and what can be wrong with it.

It knows only the names of this run, each client's own ones, and asks nobody else. A client is known
by its address; its container's resolver (Docker's, at 127.0.0.11) passes questions on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from . import dns
from .kernel import OrderError

PORT = 53


@dataclass(frozen=True, slots=True)
class Spoiling:
    """What is wrong with answers: the code `rcode`, none at all, other addresses, late."""

    rcode: int | None = None
    silent: bool = False
    addresses: tuple[str, ...] | None = None
    delay_s: float = 0.0


class Names:
    """Orders about names. Clients are addresses; names are in lower case."""

    def __init__(self) -> None:
        super().__init__()
        self._zones: dict[str, dict[str, list[str]]] = {}
        self._spoilt: dict[tuple[str, str], dict[str, Spoiling]] = {}
        self._asked: Counter[tuple[str, str]] = Counter()
        self._hit: Counter[tuple[str, str, str]] = Counter()  # client, name, why
        self._home = ""
        self._serving: tuple[asyncio.Server, asyncio.DatagramTransport] | None = None
        self._late: set[asyncio.Task[None]] = set()

    async def serve_names(
        self, host: str, zones: Mapping[str, dict[str, list[str]]], port: int = PORT
    ) -> int:
        """Answer at an address, over UDP and TCP, with each client's own names; at which port."""
        self._home, self._zones = host, dict(zones)
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._talk, host, port)
        port = int(server.sockets[0].getsockname()[1])
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), (host, port))
        self._serving = (server, transport)
        return port

    async def spoil_names(
        self, clients: Sequence[str], name: str, why: str, spoiling: Mapping[str, Any]
    ) -> None:
        """Spoil answers to these clients, in somebody's name (`why`); the latest wins."""
        addresses = spoiling.get("addresses")
        found = Spoiling(
            **{**spoiling, "addresses": None if addresses is None else tuple(addresses)}
        )
        for client in clients:
            self._spoilt.setdefault((client, name), {}).setdefault(why, found)

    async def mend_names(self, clients: Sequence[str], name: str, why: str) -> None:
        """Spoil no more in that name."""
        for client in clients:
            spoilt = self._spoilt.get((client, name), {})
            spoilt.pop(why, None)
            if not spoilt:
                self._spoilt.pop((client, name), None)

    async def spoilt_names(self) -> list[tuple[str, str]]:
        """Clients and names whose answers are spoilt."""
        return sorted(self._spoilt)

    async def names_asked(self, clients: Sequence[str], name: str, why: str) -> list[int]:
        """How often these clients asked for a name's address, and were answered wrongly by `why`.

        Since names are served.
        """
        return [
            sum(self._asked[client, name] for client in clients),
            sum(self._hit[client, name, why] for client in clients),
        ]

    async def ask_name(self, client: str, name: str, timeout_s: float) -> dict[str, Any]:
        """Ask for a name as if a client did, over UDP, and time the answer."""
        began_s = time.monotonic()
        number = int.from_bytes(os.urandom(2), "big")
        found = None
        loop = asyncio.get_running_loop()
        answers: asyncio.Queue[bytes] = asyncio.Queue()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Answers(answers), (self._home, 0), (self._home, PORT)
        )
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    transport.sendto(dns.ask(number, name, client))
                    while found is None:
                        found = dns.read_answer(await answers.get(), number)
        except (OSError, dns.MalformedError) as error:
            raise OrderError(f"asking for {name}: {error}") from error
        finally:
            transport.close()
        code, addresses = found or (None, [])
        seconds = time.monotonic() - began_s
        return {"rcode": code, "addresses": addresses, "seconds": seconds}

    async def answer_to(self, data: bytes, asker: str) -> tuple[bytes | None, float]:
        """What to send back to a message, and after how many seconds; None is nothing."""
        try:
            question = dns.read_question(data)
        except dns.MalformedError as error:
            return error.answer, 0.0
        is_own = asker == self._home and question.on_behalf is not None
        client = question.on_behalf or asker if is_own else asker
        zone = self._zones.get(client, {})
        why, spoiling = self._spoiling(client, question.name)
        if not is_own and question.kind == dns.TYPE_A:
            self._asked[client, question.name] += 1
            self._hit[client, question.name, why] += 1
        addresses: Sequence[str] = zone.get(question.name, ())
        if spoiling.silent:
            return None, 0.0
        if spoiling.rcode is not None or question.name not in zone:
            rcode = dns.NO_SUCH_NAME if spoiling.rcode is None else spoiling.rcode
            return dns.answer(question, rcode), spoiling.delay_s
        if spoiling.addresses is not None:
            addresses = spoiling.addresses
        if question.kind != dns.TYPE_A:
            addresses = ()
        return dns.answer(question, dns.NO_ERROR, addresses), spoiling.delay_s

    def _spoiling(self, client: str, name: str) -> tuple[str, Spoiling]:
        """In whose name an answer is spoilt, and how; by nobody and not at all, where it is not."""
        spoilt = self._spoilt.get((client, name))
        return list(spoilt.items())[-1] if spoilt else ("", Spoiling())

    def hear(
        self, transport: asyncio.DatagramTransport, data: bytes, peer: tuple[str, int]
    ) -> None:
        """A datagram came in."""
        task = asyncio.create_task(self._reply(transport, data, peer))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _reply(
        self, transport: asyncio.DatagramTransport, data: bytes, peer: tuple[str, int]
    ) -> None:
        reply, delay_s = await self.answer_to(data, peer[0])
        if delay_s:
            await asyncio.sleep(delay_s)
        if reply:
            transport.sendto(reply, peer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Over TCP each message has its length before it (RFC 1035, 4.2.2)."""
        asker = writer.get_extra_info("peername")[0]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                reply, delay_s = await self.answer_to(await reader.readexactly(size), asker)
                await asyncio.sleep(delay_s)
                if reply:
                    writer.write(len(reply).to_bytes(2, "big") + reply)
                    await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """The server's end of UDP."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._names.hear(self._transport, data, (addr[0], addr[1]))


class _Answers(asyncio.DatagramProtocol):
    """Our own questions' answers."""

    def __init__(self, answers: asyncio.Queue[bytes]) -> None:
        self._answers = answers

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002
        self._answers.put_nowait(data)
