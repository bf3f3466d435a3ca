"""Packets that the kernel hands to this process and waits for: its NFQUEUE, over netlink.

Written for the standard library alone, after the kernel's own headers: <linux/netlink.h>,
<linux/netfilter/nfnetlink.h> and <linux/netfilter/nfnetlink_queue.h>.

    message    u32 length, u16 type, u16 flags, u32 sequence, u32 port      host byte order
               u8 family, u8 version, u16 queue                             network byte order
    attribute  u16 length, u16 type, value, padded to 4 bytes
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .kernel import OrderError

NETLINK_NETFILTER = 12
NLMSG_ERROR = 2
NLM_F_REQUEST, NLM_F_ACK = 1, 4
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_RCVBUFFORCE = 33

QUEUE = 3 << 8  # NFNL_SUBSYS_QUEUE: the upper half of a message's type
PACKET, VERDICT, CONFIG = QUEUE | 0, QUEUE | 1, QUEUE | 2
NFQA_PACKET_HDR, NFQA_VERDICT_HDR, NFQA_PAYLOAD = 1, 2, 10
NFQA_CFG_CMD, NFQA_CFG_PARAMS, NFQA_CFG_QUEUE_MAXLEN = 1, 2, 3
BIND, COPY_PACKET = 1, 2
NF_DROP, NF_ACCEPT = 0, 1
LOCAL_IN = 1  # the hook of packets that come in; the other one here is LOCAL_OUT
TYPE_MASK = 0x3FFF  # above it are flags of an attribute

LONGEST = 1 << 16  # packets that wait here at most; the kernel's default is 1024
BUFFER_BYTES = 8 << 20
MESSAGE_BYTES = 1 << 17
READ_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that waits for a verdict. `payload` begins with its IPv4 header."""

    number: int
    incoming: bool
    payload: bytes


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, queue: int, body: bytes, flags: int = NLM_F_REQUEST) -> bytes:
    """One message about a queue."""
    general = struct.pack("!BBH", socket.AF_UNSPEC, 0, queue)
    header = struct.pack("=IHHII", 16 + len(general) + len(body), kind, flags, 0, 0)
    return header + general + body


def bind(queue: int) -> Iterator[bytes]:
    """The messages, each to be acknowledged, that make this socket the reader of a queue."""
    command = struct.pack("!BBH", BIND, 0, socket.AF_INET)
    whole = struct.pack("!IB", 0xFFFF, COPY_PACKET)
    longest = struct.pack("!I", LONGEST)
    for kind, value in (
        (NFQA_CFG_CMD, command),
        (NFQA_CFG_PARAMS, whole),
        (NFQA_CFG_QUEUE_MAXLEN, longest),
    ):
        yield message(CONFIG, queue, attribute(kind, value), NLM_F_REQUEST | NLM_F_ACK)


def verdict(queue: int, number: int, what: int, payload: bytes | None = None) -> bytes:
    """What becomes of a packet; it goes on with another content if there is one."""
    body = attribute(NFQA_VERDICT_HDR, struct.pack("!II", what, number))
    if payload is not None:
        body += attribute(NFQA_PAYLOAD, payload)
    return message(VERDICT, queue, body)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message in what was received."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if not 16 <= length <= len(data):
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def attributes(body: bytes) -> dict[int, bytes]:
    """Attributes by their type, of a body without its general header."""
    found: dict[int, bytes] = {}
    while len(body) >= 4:
        length, kind = struct.unpack_from("=HH", body)
        if not 4 <= length <= len(body):
            break
        found[kind & TYPE_MASK] = body[4:length]
        body = body[(length + 3) & ~3 :]
    return found


def packets(data: bytes) -> Iterator[Packet]:
    """The packets in what was received."""
    for kind, body in messages(data):
        if kind == PACKET:
            found = attributes(body[4:])
            number, _, hook = struct.unpack_from("!IHB", found[NFQA_PACKET_HDR])
            yield Packet(number, hook == LOCAL_IN, found.get(NFQA_PAYLOAD, b""))


def overflown(table: str, queue: int) -> int:
    """Packets that this queue had no room for, in /proc/net/netfilter/nfnetlink_queue.

    Columns: queue, port, waiting, copy mode and range, dropped by the kernel (too many waited), not
    handed over (this process's buffer was full), …
    """
    rows = [[int(word) for word in line.split()] for line in table.splitlines()]
    return sum(row[5] + row[6] for row in rows if row[0] == queue)


class Queue:
    """The reader of one queue of this network namespace.

    Raises:
        OrderError: this kernel has no such queues, or this one has a reader.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        except OSError as error:
            raise OrderError(f"netlink: {error.strerror}") from error
        try:
            self._socket.bind((0, 0))
            for order in bind(number):
                self._socket.send(order)
                self._acknowledged()
            self._socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
            with contextlib.suppress(OSError):  # not in a user namespace: then it stays small
                self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
            self._socket.settimeout(0)
        except OSError as error:
            self._socket.close()
            raise OrderError(f"NFQUEUE: {error.strerror}") from error

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def read(self) -> Iterator[Packet]:
        """Packets that have come, but not so many that nothing else gets a turn."""
        for _ in range(READ_AT_ONCE):
            try:
                data = self._socket.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            yield from packets(data)

    def accept(self, number: int, payload: bytes | None = None) -> None:
        """Let a packet go on; one that has gone otherwise is no matter."""
        with contextlib.suppress(OSError):
            self._socket.send(verdict(self._number, number, NF_ACCEPT, payload))

    def drop(self, number: int) -> None:
        """The end of a packet; its sender is not told."""
        with contextlib.suppress(OSError):
            self._socket.send(verdict(self._number, number, NF_DROP))

    def close(self) -> None:
        """The kernel drops what still waits."""
        self._socket.close()

    def _acknowledged(self) -> None:
        for kind, body in messages(self._socket.recv(MESSAGE_BYTES)):
            if kind == NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", body)
                if code:
                    raise OSError(-code, "the kernel refuses a queue of packets")
