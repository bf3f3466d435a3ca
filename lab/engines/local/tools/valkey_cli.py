"""What healthchecks use of valkey-cli and redis-cli: one command, its answer printed.

    valkey-cli [-h HOST] [-p PORT] [-a PASSWORD] [--user NAME] [-n DATABASE] [-e] COMMAND …

Without -h and -p it asks the server of its own instance: LAB_SERVER=HOST:PORT. Exit codes are the
original's: 1 when there is no connection, and with -e when the answer is an error.
"""

import os
import socket
import sys
from typing import BinaryIO

_WITH_VALUE = {"-h": "host", "-p": "port", "-a": "password", "--pass": "password", "-n": "db"}
_WITH_VALUE |= {"--user": "user", "-t": "timeout"}
_IGNORED = ("--raw", "--no-raw", "--no-auth-warning", "-2")
_TIMEOUT_S = 5.0


class ServerError(Exception):
    """The server answered with an error."""


def main(arguments: list[str]) -> int:
    """Run one command."""
    options, command, strict = _parse(arguments)
    if not command:
        print("there is no command, and no prompt here", file=sys.stderr)
        return 1
    try:
        with socket.create_connection(
            (options["host"], int(options["port"])), float(options.get("timeout", _TIMEOUT_S))
        ) as connection:
            return _converse(connection, options, command, strict=strict)
    except OSError as error:
        where = f"{options['host']}:{options['port']}"
        print(f"Could not connect to Valkey at {where}: {error.strerror or error}", file=sys.stderr)
        return 1


def _parse(arguments: list[str]) -> tuple[dict[str, str], list[str], bool]:
    host, _, port = os.environ.get("LAB_SERVER", "127.0.0.1:6379").rpartition(":")
    options = {"host": host, "port": port}
    if password := os.environ.get("REDISCLI_AUTH") or os.environ.get("VALKEYCLI_AUTH"):
        options["password"] = password
    rest, strict = list(arguments), False
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in _WITH_VALUE and rest:
            options[_WITH_VALUE[word]] = rest.pop(0)
        elif word == "-e":
            strict = True
        elif word not in _IGNORED:
            sys.exit(f"Unrecognized option or bad number of args for: '{word}'")
    return options, rest, strict


def _converse(
    connection: socket.socket, options: dict[str, str], command: list[str], *, strict: bool
) -> int:
    reader = connection.makefile("rb")
    try:
        if "password" in options:
            user = [options["user"]] if "user" in options else []
            _ask(connection, reader, ["AUTH", *user, options["password"]])
        if options.get("db", "0") != "0":
            _ask(connection, reader, ["SELECT", options["db"]])
        _show(_ask(connection, reader, command))
    except ServerError as error:
        print(error, file=sys.stderr if strict else sys.stdout)
        return 1 if strict else 0
    return 0


def _ask(connection: socket.socket, reader: BinaryIO, command: list[str]) -> object:
    words = [word.encode() for word in command]
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    connection.sendall(b"*%d\r\n%s" % (len(words), parts))
    return _answer(reader)


def _answer(reader: BinaryIO) -> object:
    """One value of the RESP 2 protocol."""
    line = reader.readline()
    if not line:
        raise ConnectionResetError("the server closed the connection")
    kind, rest = line[:1], line[1:].rstrip(b"\r\n")
    match kind:
        case b"-":
            raise ServerError(rest.decode(errors="replace"))
        case b":":
            return int(rest)
        case b"$":
            return (
                None
                if rest == b"-1"
                else reader.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
            )
        case b"*":
            return [] if rest == b"-1" else [_answer(reader) for _ in range(int(rest))]
    return rest.decode(errors="replace")


def _show(answer: object) -> None:
    if isinstance(answer, list):
        for one in answer:
            _show(one)
    else:
        print("" if answer is None else answer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
