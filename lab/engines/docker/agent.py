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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

METRICS_PORT = 9475
LISTEN_RETRY_S = 0.03
ZERO_WINDOW = 4  # the timer that is pending while the peer's window is zero
FULL_BYTES = 1 << 16

# Rules that drop, by the chain of the kernel that leads to them.
CUTS = {"INPUT": "LAB-CUT-IN", "OUTPUT": "LAB-CUT-OUT"}
EMPTY = [f":{cut} - [0:0]" for cut in CUTS.values()]
RULE = re.compile(
    r"\[(?P<packets>\d+):(?P<bytes>\d+)\] -A (?:INPUT|OUTPUT|LAB-CUT-IN|LAB-CUT-OUT)"
    r" -[ds] (?P<address>[\d.]+)/32(?P<real> ! -[io] lo)(?: -j (?P<target>DROP))?"
)

# Harmless first bytes that make a server answer: PostgreSQL's SSLRequest (protocol docs, "Message
# Formats"), Redis's PING, and a plain HTTP request for everything else. That one does not ask for
# the connection to be closed: then even a swallowed answer would end the silence.
GREETINGS = {5432: bytes([0, 0, 0, 8, 4, 210, 22, 47]), 6379: b"PING\r\n"}
HTTP_GREETING = b"GET /healthz HTTP/1.1\r\nHost: lab\r\nUser-Agent: chaos-lab\r\n\r\n"


class OrderError(Exception):
    """An order that cannot be carried out; its text goes back."""


class Agent:
    """Carries out orders; the only one that changes packet rules in this namespace.

    Public methods are the orders; their arguments are the keys of the message.
    """

    def __init__(self) -> None:
        self._variant: str | None = None  # which iptables this kernel understands
        self._accounted: list[str] = []
        self._cut: set[str] = set()
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

    async def cut(self, addresses: Sequence[str]) -> None:
        """Drop every packet of these addresses."""
        async with self._changing:
            new = [address for address in addresses if address not in self._cut]
            if new:
                await self._restore([rule for address in new for rule in drop_rules(address)])
                self._cut.update(new)

    async def mend(self, addresses: Sequence[str]) -> None:
        """Drop nothing of these addresses.

        The rules of all others are written anew, at once, so that nothing can be left behind.
        """
        async with self._changing:
            if self._cut & set(addresses):
                now = await self.traffic()
                self._dropped = {address: counts[2] for address, counts in now.items()}
                rest = self._cut - set(addresses)
                rules = [rule for address in sorted(rest) for rule in drop_rules(address)]
                await self._restore([*EMPTY, *rules])
                self._cut = rest

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

    async def stalled(self, link: str, upstream: str) -> bool:
        """Whether a connection at these `address:port` waits for a peer that does not read.

        The kernel tells: a zero window being probed, or a full buffer sent again and again.
        """
        ends = {hexed(link), hexed(upstream)}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]  # noqa: ASYNC240
        return any(ends & {row[1], row[2]} and is_stalled(row) for row in rows)

    async def probe(self, address: str, port: int, timeout_s: float) -> dict[str, Any]:
        """One try of a link: connect, say something harmless, wait for the first byte."""
        began_s = time.monotonic()
        outcome, connect_s, writer = "silent", None, None
        local = (self._own, 0) if self._own else None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(address, port, local_addr=local)
                connect_s = time.monotonic() - began_s
                writer.write(GREETINGS.get(port, HTTP_GREETING))
                outcome = "answered" if await reader.read(1) else "closed"
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


def drop_rules(address: str) -> list[str]:
    """Rules that drop both directions.

    Packets of probes from here (through `lo`) have rules of their own, so that they do not count
    as dropped traffic.
    """
    return [
        f"-A {CUTS[chain]} -{side} {address}/32 {device} -j DROP"
        for chain, side, way in (("INPUT", "d", "-i"), ("OUTPUT", "s", "-o"))
        for device in (f"! {way} lo", f"{way} lo")
    ]


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
