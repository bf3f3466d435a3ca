"""The network agent: runs in a container that shares the proxy's network namespace.

Standard library only, one file, put into the container as it is. Orders come as JSON lines on
stdin, `{"id": 1, "do": "cut", …}`; answers leave on stdout, `{"id": 1, "is": …}` or
`{"id": 1, "error": "…"}`. It ends with its stdin, so it never outlives the run that gave orders.

A link is an address in this namespace, so packets of one link can be counted and dropped without
touching any other, nor the containers at its ends. It waits ready in a process of its own because
`docker exec` alone takes longer (90 ms) than a fault may be late (20 ms).
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

METRICS_PORT = 9475
LISTEN_RETRY_S = 0.03
ZERO_WINDOW = 4  # the timer that is pending while the peer's window is zero
FULL_BYTES = 1 << 16

# Rules that drop, by the chain of the kernel that leads to them. A link's packets come in from
# its client (upstream) and go out to it (downstream).
CUTS = {"INPUT": "LAB-CUT-IN", "OUTPUT": "LAB-CUT-OUT"}
EMPTY = [f":{cut} - [0:0]" for cut in CUTS.values()]
DROPS = {"upstream": ("INPUT", "d", "-i"), "downstream": ("OUTPUT", "s", "-o")}
# Links that take no new connections: a chain that every first packet of one goes through.
SHUT = "LAB-SHUT"
SHUT_EMPTY = f":{SHUT} - [0:0]"
SHUT_RULE = re.compile(rf"-A {SHUT} -d ([\d.]+)/32")
RULE = re.compile(
    r"\[(?P<packets>\d+):(?P<bytes>\d+)\] -A (?:INPUT|OUTPUT|LAB-CUT-IN|LAB-CUT-OUT)"
    r" -[ds] (?P<address>[\d.]+)/32(?P<real> ! -[io] lo)(?: -j (?P<target>DROP))?"
)


class OrderError(Exception):
    """An order that cannot be carried out; its text goes back."""


class Agent:
    """Carries out orders; the only one that changes packet rules in this namespace.

    Public methods are the orders; their arguments are the keys of the message.
    """

    def __init__(self) -> None:
        self._variant: str | None = None  # which iptables this kernel understands
        self._accounted: list[str] = []
        self._cut: set[tuple[str, str]] = set()  # address, stream
        self._shut: set[str] = set()
        self._dropped: dict[str, int] = {}  # by rules that are gone, by address
        self._changing = asyncio.Lock()
        self._exposition = ""
        self._own: str | None = None

    async def route(self, subnet: str, own: str) -> None:
        """AnyIP: answer for every address of a range as if it were this container's own.

        `own` is the address that probes are made from.
        """
        self._own = own
        await run(["ip", "route", "replace", "local", subnet, "dev", "lo"])

    async def account(self, addresses: Sequence[str]) -> dict[str, str]:
        """Count packets of each address, both ways, behind the rules that drop.

        Probes made here pass through `lo`; they are not traffic and do not count.
        """
        lines = [*EMPTY, *(f"-A {chain} -j {cut}" for chain, cut in CUTS.items())]
        lines += [SHUT_EMPTY, f"-A INPUT -p tcp --syn -j {SHUT}"]
        for address in addresses:
            lines.append(f"-A INPUT -d {address}/32 ! -i lo")
            lines.append(f"-A OUTPUT -s {address}/32 ! -o lo")
        troubles = []
        for variant in ("nft", "legacy"):
            self._variant = variant
            try:
                await self._restore(lines)
            except OrderError as error:
                troubles.append(str(error))
                self._variant = None
            else:
                self._accounted = list(addresses)
                return {"iptables": variant}
        raise OrderError("; ".join(troubles))

    async def cut(self, addresses: Sequence[str], way: str = "both") -> None:
        """Drop every packet of these addresses that goes that way."""
        async with self._changing:
            new = cuts_of(addresses, way) - self._cut
            if new:
                await self._restore([rule for cut in sorted(new) for rule in drop_rules(*cut)])
                self._cut |= new

    async def mend(self, addresses: Sequence[str], way: str = "both") -> None:
        """Drop nothing of these addresses that goes that way.

        The rules of all others are written anew, at once, so that nothing can be left behind.
        """
        async with self._changing:
            gone = self._cut & cuts_of(addresses, way)
            if gone:
                now = await self.traffic()
                self._dropped = {address: counts[2] for address, counts in now.items()}
                rest = self._cut - gone
                rules = [rule for cut in sorted(rest) for rule in drop_rules(*cut)]
                await self._restore([*EMPTY, *rules])
                self._cut = rest

    async def shut(self, addresses: Sequence[str]) -> None:
        """Refuse new connections to these addresses; those that are open go on."""
        async with self._changing:
            await self._refuse_at(self._shut | set(addresses))

    async def unshut(self, addresses: Sequence[str]) -> None:
        """Take new connections again."""
        async with self._changing:
            await self._refuse_at(self._shut - set(addresses))

    async def shuts(self) -> list[str]:
        """Addresses that refuse new connections, as the kernel has it."""
        return sorted(set(SHUT_RULE.findall(await self._saved())))

    async def _refuse_at(self, addresses: set[str]) -> None:
        """Under the lock: orders come side by side, and none may undo another's."""
        if addresses != self._shut:
            rules = (
                f"-A {SHUT} -d {address}/32 -p tcp -j REJECT --reject-with tcp-reset"
                for address in sorted(addresses)
            )
            await self._restore([SHUT_EMPTY, *rules])
            self._shut = addresses

    async def cuts(self) -> list[str]:
        """Addresses with a rule that drops, as the kernel has it."""
        return sorted({m["address"] for m in RULE.finditer(await self._saved()) if m["target"]})

    async def traffic(self) -> dict[str, list[int]]:
        """Packets, bytes and dropped packets by address, since they are counted."""
        counts = {address: [0, 0, self._dropped.get(address, 0)] for address in self._accounted}
        for match in RULE.finditer(await self._saved()):
            count = counts.get(match["address"])
            if count is None:
                continue
            if match["target"]:
                count[2] += int(match["packets"])
            else:
                count[0] += int(match["packets"])
                count[1] += int(match["bytes"])
        return counts

    async def passes(self, address: str, timeout_s: float) -> dict[str, bool]:
        """Whether a datagram to this address arrives (upstream), and one from it (downstream).

        No connection is needed for that, so one direction alone can be told.
        """
        loop = asyncio.get_running_loop()

        async def arrives(sender: socket.socket, receiver: socket.socket) -> bool:
            with contextlib.suppress(TimeoutError, PermissionError):  # refused: dropped on sending
                async with asyncio.timeout(timeout_s):
                    await loop.sock_sendto(sender, b"lab", receiver.getsockname())
                    return await loop.sock_recv(receiver, 16) == b"lab"
            return False

        with datagrams(self._own or "127.0.0.1") as own, datagrams(address) as link:
            up, down = await asyncio.gather(arrives(own, link), arrives(link, own))
        return {"upstream": up, "downstream": down}

    async def stalled(self, link: str, upstream: str) -> bool:
        """Whether a connection at these `address:port` waits for a peer that does not read.

        The kernel tells: a zero window being probed, or a full buffer sent again and again.
        """
        ends = {hexed(link), hexed(upstream)}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]  # noqa: ASYNC240
        return any(ends & {row[1], row[2]} and is_stalled(row) for row in rows)

    async def reset(self, addresses: Sequence[str]) -> None:
        """Reset the connections that are open at these addresses, where the kernel can do that."""
        of = " or ".join(f"src {address}" for address in addresses)
        if of:
            await run(["ss", "-K", "-H", "-tn", *of.split()])

    async def probe(self, address: str, port: int, text: str, timeout_s: float) -> dict[str, Any]:
        """One try of a link: connect, say this (a character a byte), wait for the first byte."""

        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(text.encode("latin-1"))
            return bool(await reader.read(1))

        return await self._tried(address, port, timeout_s, ask)

    async def exchange(
        self, address: str, port: int, saying: Sequence[tuple[str, int]], timeout_s: float
    ) -> dict[str, Any]:
        """A longer try of a link: say all of it and listen until the server closes."""
        text = b"".join(part.encode("latin-1") * times for part, times in saying)
        began_s = time.monotonic()
        pieces: list[tuple[float, int]] = []  # when, and how many bytes

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
            writer.write(text)
            while data := await reader.read(1 << 16):
                pieces.append((time.monotonic() - began_s, len(data)))
            return bool(pieces)

        tried = await self._tried(address, port, timeout_s, talk)
        del tried["connect_s"]
        first_s, last_s = (pieces[0][0], pieces[-1][0]) if pieces else (None, None)
        counts = {"sent_bytes": len(text), "received_bytes": sum(size for _, size in pieces)}
        return tried | counts | {"first_s": first_s, "last_s": last_s}

    async def _tried(
        self, address: str, port: int, timeout_s: float, talk: Callable[..., Awaitable[bool]]
    ) -> dict[str, Any]:
        """How a connection went on which `talk` says whether there was an answer."""
        began_s = time.monotonic()
        outcome, connect_s, writer = "silent", None, None
        local = (self._own, 0) if self._own else None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(address, port, local_addr=local)
                connect_s = time.monotonic() - began_s
                outcome = "answered" if await talk(reader, writer) else "closed"
        except TimeoutError:
            pass
        except ConnectionRefusedError:
            outcome = "refused"
        except (ConnectionResetError, BrokenPipeError):
            outcome = "reset"
        seconds = time.monotonic() - began_s
        if writer:
            writer.transport.abort()
        return {"outcome": outcome, "seconds": seconds, "connect_s": connect_s}

    async def listening(self, address: str, port: int, timeout_s: float) -> bool:
        """Wait until something accepts connections there; whether it did in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        _, writer = await asyncio.open_connection(address, port)
                    except OSError:
                        await asyncio.sleep(LISTEN_RETRY_S)
                        continue
                    writer.transport.abort()
                    return True
        return False

    async def http(
        self, address: str, port: int, method: str, path: str, body: str | None, timeout_s: float
    ) -> dict[str, Any]:
        """An HTTP request straight to a service."""

        def ask() -> dict[str, Any]:
            connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
            headers = {} if body is None else {"Content-Type": "application/json"}
            try:
                connection.request(method, path, None if body is None else body.encode(), headers)
                answer = connection.getresponse()
                return {"status": answer.status, "body": answer.read().decode(errors="replace")}
            finally:
                connection.close()

        try:
            return await asyncio.to_thread(ask)
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise OrderError(f"{method} {path} at {address}:{port}: {why}") from error

    async def publish(self, text: str) -> None:
        """What `/metrics` says from now on."""
        self._exposition = text

    async def ping(self) -> dict[str, float]:
        """This container's monotonic clock."""
        return {"clock_s": time.monotonic()}

    async def serve_metrics(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer any request on the metrics port with what was published."""
        body = self._exposition.encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    async def carry_out(self, order: dict[str, Any]) -> None:
        """One order, and its answer."""
        answer: dict[str, Any] = {"id": order.pop("id")}
        try:
            answer["is"] = await getattr(self, order.pop("do"))(**order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other end must hear of it
            answer["error"] = str(error) or type(error).__name__
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    async def _restore(self, lines: Iterable[str]) -> None:
        """Apply rules, all in one step of the kernel."""
        text = "\n".join(["*filter", *lines, "COMMIT", ""])
        await run([f"iptables-{self._filter()}-restore", "--noflush"], text)

    async def _saved(self) -> str:
        """All rules with their counters."""
        return await run([f"iptables-{self._filter()}-save", "-c", "-t", "filter"])

    def _filter(self) -> str:
        if self._variant is None:
            raise OrderError("this kernel offers no packet filter (iptables)")
        return self._variant


def cuts_of(addresses: Iterable[str], way: str) -> set[tuple[str, str]]:
    """What is cut of these addresses: each with the streams that a way means."""
    return {(address, s) for address in addresses for s in DROPS if way in ("both", s)}


def drop_rules(address: str, stream: str) -> list[str]:
    """Rules that drop one direction.

    Packets of probes from here (through `lo`) have rules of their own, so that they do not count
    as dropped traffic.
    """
    chain, side, way = DROPS[stream]
    return [
        f"-A {CUTS[chain]} -{side} {address}/32 {device} -j DROP"
        for device in (f"! {way} lo", f"{way} lo")
    ]


def datagrams(address: str) -> socket.socket:
    """A socket for datagrams at any port of an address."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(0)
    made.bind((address, 0))
    return made


def hexed(endpoint: str) -> str:
    """`198.18.7.130:5432` as the kernel's table of connections writes it (proc_net_tcp.rst)."""
    address, _, port = endpoint.rpartition(":")
    (number,) = struct.unpack("=I", socket.inet_aton(address))
    return f"{number:08X}:{int(port):04X}"


def is_stalled(row: Sequence[str]) -> bool:
    """Whether a row of that table, split, is of a connection whose peer does not read."""
    queued_bytes = int(row[4].partition(":")[0], 16)
    timer, resent = int(row[5].partition(":")[0], 16), int(row[6], 16)
    return timer == ZERO_WINDOW or (resent > 0 and queued_bytes >= FULL_BYTES)


async def run(command: Sequence[str], text: str = "") -> str:
    """Output of a command; in a thread, so that a probe's timing does not suffer."""
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, input=text, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise OrderError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise OrderError(f"{command[0]}: {why}")
    return done.stdout


async def main() -> None:
    """Read orders until stdin ends; each is carried out on its own, so none waits for a probe."""
    agent = Agent()
    await asyncio.start_server(agent.serve_metrics, "0.0.0.0", METRICS_PORT)
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    under_way: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(agent.carry_out(json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    os._exit(0)  # at once: whoever gave orders is gone


if __name__ == "__main__":
    asyncio.run(main())
