"""A listening socket that can be made to look as if packets to it were dropped.

Cut on Linux: with a backlog of one and two connections of our own in it, the accept queue is full
and the kernel drops every SYN (it answers neither with SYN-ACK nor RST). Connecting clients
therefore wait and send again, 1, 3, 7 s after the first try, as they do at a dead host, and get
through once the link is mended. Connections that were waiting to be accepted stay in the queue:
for their clients they are established and silent. tcp(7); `tcp_conn_request` in the kernel.

Elsewhere connections are accepted and held until the link is mended: a client sees itself connected
to a silent server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
import sys
from collections.abc import Callable
from typing import Literal

from lab.proxies.embedded import sockets
from lab.proxies.embedded.sockets import Address

BACKLOG = 4096
CUT_BACKLOG = 1
_FILLERS_MAX = 16
_ACCEPTS_AT_ONCE = 64
_OUT_OF_FILES_S = 0.05
_QUEUE_IN_TCP_INFO = 24  # of a listener: how many wait to be accepted, and how many may

Cutting = Literal["backlog", "accept"]
Accepted = Callable[[socket.socket, Address], None]


def default_cutting() -> Cutting:
    """How a cut keeps new connections out on this machine."""
    return "backlog" if sys.platform == "linux" else "accept"


class Listener:
    """Accepts on one address.

    `accepted` gets every connection, also those that are accepted to be held; the owner knows
    whether the link is cut. `address` is where it really listens (port 0 resolved).

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(
        self, address: Address, accepted: Accepted, cutting: Cutting, *, cut: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._accepted = accepted
        self._cutting = cutting
        self._fillers: list[socket.socket] = []
        self._waiting: asyncio.TimerHandle | None = None
        self._socket = sockets.tcp(address)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
            self._socket.listen(CUT_BACKLOG if cut else BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self.address: Address = self._socket.getsockname()[:2]
        if cut:
            self.cut()
        else:
            self._read()

    def cut(self) -> None:
        """Let nobody in any more; doing it twice changes nothing."""
        if self._cutting == "accept":
            self._read()
            return
        self._stop_reading()
        self._socket.listen(CUT_BACKLOG)
        while not self._full() and len(self._fillers) < _FILLERS_MAX:
            filler = sockets.tcp(self.address)
            # Over loopback the kernel completes the handshake within this call.
            with contextlib.suppress(OSError):
                filler.connect_ex(sockets.reachable(self.address))
            self._fillers.append(filler)

    def mend(self) -> None:
        """Let everybody in again, first those that the kernel had accepted before the cut."""
        if self._cutting == "accept":
            return
        self._socket.listen(BACKLOG)
        ours = {filler.getsockname()[:2] for filler in self._fillers}
        for filler in self._fillers:
            sockets.reset_on_close(filler)
            filler.close()
        self._fillers.clear()
        self._accept(BACKLOG, ours)
        self._read()

    def close(self) -> None:
        """Refuse from now on."""
        self._stop_reading()
        self._socket.close()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _read(self) -> None:
        self._waiting = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _stop_reading(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None
        self._loop.remove_reader(self._socket.fileno())

    def _accept(self, at_most: int = _ACCEPTS_AT_ONCE, ours: set[Address] | None = None) -> None:
        for _ in range(at_most):
            try:
                connection, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._stop_reading()  # or it would spin: clients wait in the kernel's queue
                    self._waiting = self._loop.call_later(_OUT_OF_FILES_S, self._read)
                    return
                continue  # that client has gone already
            if ours and peer[:2] in ours:
                connection.close()
                continue
            connection.settimeout(0)
            self._accepted(connection, peer[:2])

    def _full(self) -> bool:
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        waiting, limit = struct.unpack_from("=II", info, _QUEUE_IN_TCP_INFO)
        return bool(waiting > limit)
