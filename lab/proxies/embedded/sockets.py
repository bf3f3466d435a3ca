"""Addresses and sockets, where the standard library needs a second line."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct

Address = tuple[str, int]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def split(text: str) -> Address:
    """`host:port` or `[host]:port`; an empty host means every address.

    Raises:
        ValueError: there is no port, or it is no number from 0 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError(f"address {text}: missing port in address")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"address {port}: invalid port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join(address: Address) -> str:
    """`host:port`, with brackets around an IPv6 host."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def numeric(host: str) -> socket.AddressFamily | None:
    """The family of a host that is an address, None of one that is a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return family
    return None


async def resolve(text: str) -> Address:
    """The address behind `host:port`, names looked up, IPv4 first.

    Raises:
        ValueError: it is no address, or its name is unknown.
    """
    host, port = split(text)
    if not host or numeric(host) is not None:
        return host or "0.0.0.0", port
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"lookup {host}: {error.strerror}") from None
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0]), port


def reachable(address: Address) -> Address:
    """Where something that listens there can be reached from here."""
    host, port = address
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


def tcp(address: Address) -> socket.socket:
    """A socket for that address that never blocks."""
    family = numeric(address[0])
    found = socket.socket(family if family is not None else socket.AF_INET, socket.SOCK_STREAM)
    found.settimeout(0)
    return found


def tune(connection: socket.socket) -> None:
    """Send every chunk at once, as it came."""
    with contextlib.suppress(OSError):  # it may be gone already
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def reset_on_close(connection: socket.socket) -> None:
    """Closing it sends RST instead of FIN, and drops what was not sent."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def begin(connection: socket.socket, address: Address) -> None:
    """Begin to connect; raises the OSError of an attempt that fails at once."""
    number = connection.connect_ex(address)
    if number not in {0, errno.EINPROGRESS}:
        raise OSError(number, os.strerror(number))


def check_connected(connection: socket.socket) -> None:
    """Raise the OSError with which a connection attempt ended, if it did."""
    number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


async def connected(connection: socket.socket) -> None:
    """Wait until a connection attempt under way has succeeded; raises OSError when it has not."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def ready() -> None:
        if not done.done():
            done.set_result(None)

    loop.add_writer(connection.fileno(), ready)
    try:
        await done
    finally:
        loop.remove_writer(connection.fileno())
    check_connected(connection)
