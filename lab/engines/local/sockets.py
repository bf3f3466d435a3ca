"""Who is connected to whom: finds a service that goes past its proxy."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

End = tuple[str, int]
Connected = tuple[str, int, str, int]
"""Owner's name, process id, and the host and port it is connected to."""

_STATES = (1, 2, 8)  # established, connecting, closed by the far side only (tcp_states.h)

# The kernel's sock_diag protocol, as `ss` speaks it (sock_diag(7)): a header, a request, answers.
_NETLINK_SOCK_DIAG = 4
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_ANSWER = struct.Struct("=4x2xH16x16s28xI")  # far port (network order), far address, inode
_BY_FAMILY, _DUMP = 20, 0x301
_ERROR, _DONE = 2, 3


def connections(ends: Iterable[End], owners: Mapping[int, str]) -> list[Connected]:
    """Open connections to these ends by these processes.

    `owners` are names by process id. Only the side that dialled is told, so a server which is
    connected to is not taken for one which connects.
    """
    wanted = set(ends)
    if sys.platform != "linux":
        return _from_psutil(wanted, owners)
    try:
        found = [each for family in (2, 10) for each in _from_kernel(family)]
    except OSError:  # a sandbox without it: the same as text, 30 times as slow
        found = [each for name in ("tcp", "tcp6") for each in _from_text(name)]
    inodes = {f"socket:[{inode}]": end for inode, end in found if end in wanted}
    return _owned(inodes, owners)


def _owned(inodes: dict[str, End], owners: Mapping[int, str]) -> list[Connected]:
    """Whose descriptors lead to these sockets."""
    found: set[Connected] = set()
    for pid, owner in owners.items():
        if not inodes:
            break
        for link in _descriptors(pid):
            if end := inodes.pop(link, None):
                found.add((owner, pid, *end))
    return sorted(found)


def _from_kernel(family: int) -> Iterator[tuple[int, End]]:
    """Inode and far end of every open TCP socket; sockets in TIME_WAIT, often many, cost nothing.

    Raises:
        OSError: the kernel does not answer that.
    """
    states = sum(1 << state for state in _STATES)
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, states)
    header = _HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        asking.sendall(header + request)
        while True:
            told, at = asking.recv(2**17), 0
            while at < len(told):
                length, kind, _, _, _ = _HEADER.unpack_from(told, at)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError("sock_diag is refused")
                port, far, inode = _ANSWER.unpack_from(told, at + _HEADER.size)
                address = far[:4] if family == socket.AF_INET else far[12:]
                yield inode, (socket.inet_ntoa(address), socket.ntohs(port))
                at += (length + 3) & ~3


def _from_text(name: str) -> Iterator[tuple[int, End]]:
    """The same from /proc/net: addresses are words in this machine's order, the last one IPv4."""
    with suppress(OSError):
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
            fields = line.split(None, 10)
            if int(fields[3], 16) in _STATES:
                address, port = fields[2].split(":")
                word = int(address[-8:], 16).to_bytes(4, sys.byteorder)
                yield int(fields[9]), (socket.inet_ntoa(word), int(port, 16))


def _descriptors(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 - a driver may have thousands
            with suppress(OSError):
                yield os.readlink(f"{folder}/{name}")  # noqa: PTH115 - as above


def _from_psutil(wanted: set[End], owners: Mapping[int, str]) -> list[Connected]:
    import psutil

    found = set()
    for pid, owner in owners.items():
        with suppress(psutil.Error):
            for one in psutil.Process(pid).net_connections("tcp"):
                if one.raddr and (one.raddr.ip, one.raddr.port) in wanted:
                    found.add((owner, pid, one.raddr.ip, one.raddr.port))
    return sorted(found)
