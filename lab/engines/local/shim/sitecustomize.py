"""Patches `socket` in a service's process: its names, its own address, and ports that are moved.

A container binds 0.0.0.0 and is alone there; a process must bind its own address. `LAB_SHIM` says:

    own, host     its address and its host name
    names         host name -> addresses, as a hosts file would
    moved         [address, port, host, port]: what is really somewhere else
    one_address   true when addresses are only names, and 127.0.0.1 is all there is

Runs before the service, with every Python that it starts: standard library only, and little of it.
"""

import json
import os
import socket
import sys
from errno import ECONNREFUSED
from typing import Any

_MAPPED = "::ffff:"
"""An IPv4 address in a socket of the other family."""


class _Shim:
    """Where things are, for this process."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.own: str = settings["own"]
        self.host: str = settings["host"]
        self.names: dict[str, list[str]] = {
            name.lower(): list(addresses) for name, addresses in settings["names"].items()
        }
        self.names["localhost"] = ["127.0.0.1"]
        self.names[self.host.lower()] = [self.own]
        self.ours = {"", "0.0.0.0", "127.0.0.1", "::", "::1", "localhost", self.host, self.own}
        self.moved = {(a, p): (host, port) for a, p, host, port in settings["moved"]}
        self.one_address: bool = settings["one_address"]

    def listens(self, host: str, port: int) -> tuple[str, int]:
        """Where to bind what asks for all interfaces, or for its own address."""
        if host not in self.ours:
            return host, port
        if self.one_address and (self.own, port) not in self.moved:
            return "127.0.0.1", 0  # a port that no other service was told of
        return self.moved.get((self.own, port), (self.own, port))

    def reaches(self, host: str, port: int) -> tuple[str, int]:
        """Where to connect to.

        Raises:
            ConnectionRefusedError: nobody can listen there.
        """
        address = self.own if host in self.ours else self.names.get(host.lower(), [host])[0]
        found = self.moved.get((address, port))
        if found or not self.one_address or not address.startswith("127."):
            return found or (address, port)
        if address == self.own:
            return "127.0.0.1", port
        raise ConnectionRefusedError(ECONNREFUSED, f"no link leads to port {port} of {host}")

    def addresses(self, host: object, flags: int) -> "list[str] | None":
        """The addresses of a name that is known here, else None."""
        if isinstance(host, bytes):
            host = host.decode()
        if host is None:
            return ["0.0.0.0" if flags & socket.AI_PASSIVE else "127.0.0.1"]
        return self.names.get(host.lower()) if isinstance(host, str) else None

    def name_of(self, address: str) -> str:
        """The reverse: the last name in the list is the most particular one."""
        if address in self.ours:
            return self.host
        names = [name for name, addresses in self.names.items() if address in addresses]
        return names[-1] if names else address


def _patch_sockets(shim: _Shim) -> None:
    plain: Any = socket.socket.__base__
    plain_bind, plain_connect, plain_connect_ex = plain.bind, plain.connect, plain.connect_ex

    def bind(self: socket.socket, address: Any) -> None:
        if self.family not in (socket.AF_INET, socket.AF_INET6):
            plain_bind(self, address)
            return
        host, port = shim.listens(*address[:2])
        if self.family == socket.AF_INET6 and ":" not in host:
            self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            host = _MAPPED + host
        plain_bind(self, (host, port, *address[2:]))
        if shim.one_address and address[1] and not port:
            shim.moved[shim.own, address[1]] = ("127.0.0.1", self.getsockname()[1])

    def target(self: socket.socket, address: Any) -> Any:
        if self.family not in (socket.AF_INET, socket.AF_INET6):
            return address
        host, port = shim.reaches(*address[:2])
        if self.family == socket.AF_INET6 and ":" not in host:
            host = _MAPPED + host
        return (host, port, *address[2:])

    def connect(self: socket.socket, address: Any) -> None:
        plain_connect(self, target(self, address))

    def connect_ex(self: socket.socket, address: Any) -> int:
        try:
            return int(plain_connect_ex(self, target(self, address)))
        except ConnectionRefusedError as error:
            return error.errno or ECONNREFUSED

    socket.socket.bind = bind  # type: ignore[assignment, method-assign]
    socket.socket.connect = connect  # type: ignore[assignment, method-assign]
    socket.socket.connect_ex = connect_ex  # type: ignore[assignment, method-assign]


def _patch_names(shim: _Shim) -> None:
    plain_getaddrinfo, plain_gethostbyname = socket.getaddrinfo, socket.gethostbyname
    plain_gethostbyaddr = socket.gethostbyaddr

    def getaddrinfo(
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        found = shim.addresses(host, flags)
        if found is None or family == socket.AF_INET6:
            return plain_getaddrinfo(host, port, family, type, proto, flags)
        return [
            entry
            for address in found
            for entry in plain_getaddrinfo(address, port, family, type, proto, flags)
        ]

    def gethostbyname(name: str) -> str:
        found = shim.addresses(name, 0)
        return found[0] if found else plain_gethostbyname(name)

    def gethostbyaddr(address: str) -> tuple[str, list[str], list[str]]:
        # A look-up in the machine's DNS would take seconds, and find nothing.
        if address in shim.ours or address.startswith("127."):
            return shim.name_of(address), [], [address]
        return plain_gethostbyaddr(address)

    socket.getaddrinfo = getaddrinfo
    socket.gethostbyname = gethostbyname
    socket.gethostbyaddr = gethostbyaddr
    socket.gethostname = lambda: shim.host


def _import_the_other_one() -> None:
    """Python imports one `sitecustomize` only; this one must not hide the environment's own."""
    here = os.path.dirname(__file__)  # noqa: PTH120  (pathlib would be imported for this alone)
    before = sys.path[:]
    sys.path[:] = [folder for folder in before if folder != here]
    this = sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # type: ignore[import-not-found] # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        if this is not None:
            sys.modules.setdefault(__name__, this)
        sys.path[:] = before


if __name__ == "sitecustomize":
    if text := os.environ.get("LAB_SHIM"):
        _shim = _Shim(json.loads(text))
        _patch_sockets(_shim)
        _patch_names(_shim)
    _import_the_other_one()
