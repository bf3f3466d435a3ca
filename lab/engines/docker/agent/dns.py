"""Messages of DNS, as far as names of links need them: addresses asked for, and answered.

RFC 1035 section 4, with the extension that says on whose behalf somebody asks (RFC 6891, RFC 7871).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

TTL_S = 1
"""How long an answer may be kept: so short that a change is seen at once."""

NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED = range(5)
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP")

TYPE_A, TYPE_AAAA, TYPE_OPT, CLASS_IN = 1, 28, 41, 1
_ON_BEHALF = 8  # EDNS Client Subnet
_HEADER = struct.Struct("!6H")
_RESPONSE, _AUTHORITATIVE, _RECURSION_WANTED, _RECURSION = 0x8000, 0x0400, 0x0100, 0x0080
_OPCODE = 0x7800
_OWN_SIZE = 1232  # bytes of a datagram that we take: dnsflagday.net/2020
_NAME_MAX, _LABEL_MAX = 255, 63


class MalformedError(Exception):
    """A message that cannot be understood; `answer` is what to send back, None for nothing."""

    def __init__(self, why: str, answer: bytes | None = None) -> None:
        super().__init__(why)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `name` is in lower case and without its last dot.

    `written` is the question as it came, to be repeated in the answer.
    """

    number: int
    flags: int
    name: str
    kind: int
    written: bytes
    extended: bool = False
    on_behalf: str | None = None


def read_question(data: bytes) -> Question:
    """The one question in a message.

    Raises:
        MalformedError: there is none, or it is no message.
    """
    if len(data) < _HEADER.size:
        raise MalformedError("too short for a message")
    number, flags, questions, answers, authorities, more = _HEADER.unpack_from(data)
    if flags & _RESPONSE:
        raise MalformedError("an answer, not a question")
    if flags & _OPCODE:
        raise MalformedError("not a query", _refusal(number, flags, NOT_IMPLEMENTED))
    wrong = _refusal(number, flags, FORMAT_ERROR)
    if (questions, answers, authorities) != (1, 0, 0):
        raise MalformedError("not exactly one question", wrong)
    try:
        name, at = _read_name(data, _HEADER.size)
        kind, class_ = struct.unpack_from("!2H", data, at)
        written = data[_HEADER.size : at + 4]
        extended, on_behalf = _read_more(data, at + 4, more)
    except (struct.error, IndexError, ValueError, OSError) as error:
        raise MalformedError(str(error), wrong) from error
    if class_ != CLASS_IN:
        raise MalformedError(
            "not a class of the Internet", _refusal(number, flags, NOT_IMPLEMENTED)
        )
    return Question(number, flags, name, kind, written, extended, on_behalf)


def answer(question: Question, rcode: int, addresses: Sequence[str] = ()) -> bytes:
    """The answer to a question; of a name with no address of that kind, an empty one."""
    flags = _RESPONSE | _AUTHORITATIVE | _RECURSION | (question.flags & _RECURSION_WANTED) | rcode
    header = _HEADER.pack(question.number, flags, 1, len(addresses), 0, int(question.extended))
    records = b"".join(
        struct.pack("!3HIH", 0xC000 | _HEADER.size, TYPE_A, CLASS_IN, TTL_S, 4)
        + socket.inet_aton(address)
        for address in addresses
    )
    extension = struct.pack("!BHHIH", 0, TYPE_OPT, _OWN_SIZE, 0, 0) if question.extended else b""
    return header + question.written + records + extension


def ask(number: int, name: str, on_behalf: str | None = None) -> bytes:
    """A question for the addresses of a name; perhaps as if another machine asked."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0" + struct.pack("!2H", TYPE_A, CLASS_IN)
    header = _HEADER.pack(number, _RECURSION_WANTED, 1, 0, 0, int(on_behalf is not None))
    if on_behalf is None:
        return header + question
    subnet = struct.pack("!HBB", 1, 32, 0) + socket.inet_aton(on_behalf)
    option = struct.pack("!2H", _ON_BEHALF, len(subnet)) + subnet
    return (
        header + question + struct.pack("!BHHIH", 0, TYPE_OPT, _OWN_SIZE, 0, len(option)) + option
    )


def read_answer(data: bytes, number: int) -> tuple[int, list[str]] | None:
    """The code and the addresses of an answer to `ask`; None when it is to something else.

    Raises:
        MalformedError: it is no message.
    """
    try:
        found, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
        at = _HEADER.size
        for _ in range(questions):
            at = _skip_name(data, at) + 4
        addresses = []
        for _ in range(answers):
            at = _skip_name(data, at)
            kind, _, _, size = struct.unpack_from("!2HIH", data, at)
            at += 10
            if kind == TYPE_A:
                addresses.append(socket.inet_ntoa(data[at : at + size]))
            at += size
    except (struct.error, IndexError, OSError) as error:
        raise MalformedError(str(error)) from error
    return (flags & 0xF, addresses) if found == number and flags & _RESPONSE else None


def _refusal(number: int, flags: int, rcode: int) -> bytes:
    """An answer to what was not understood, without what was asked."""
    return _HEADER.pack(
        number, _RESPONSE | (flags & (_OPCODE | _RECURSION_WANTED)) | rcode, 0, 0, 0, 0
    )


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """A name without pointers, which a question has no use for, and where it ends."""
    labels = []
    start = at
    while size := data[at]:
        if size > _LABEL_MAX:
            raise ValueError("a pointer in a question")
        label = data[at + 1 : at + 1 + size]
        if len(label) < size or at - start > _NAME_MAX:
            raise ValueError("a name that does not end")
        labels.append(label.decode("latin-1").lower())
        at += 1 + size
    return ".".join(labels), at + 1


def _skip_name(data: bytes, at: int) -> int:
    while size := data[at]:
        if size > _LABEL_MAX:
            return at + 2
        at += 1 + size
    return at + 1


def _read_more(data: bytes, at: int, records: int) -> tuple[bool, str | None]:
    """Whether the message is extended, and on whose behalf it asks."""
    extended, on_behalf = False, None
    for _ in range(records):
        at = _skip_name(data, at)
        kind, _, _, size = struct.unpack_from("!2HIH", data, at)
        at += 10
        if len(data) < at + size:
            raise ValueError("a record that does not end")
        if kind == TYPE_OPT:
            extended, on_behalf = True, _read_options(data[at : at + size])
        at += size
    return extended, on_behalf


def _read_options(options: bytes) -> str | None:
    at = 0
    while at < len(options):
        code, size = struct.unpack_from("!2H", options, at)
        value = options[at + 4 : at + 4 + size]
        if code == _ON_BEHALF and size == 8 and value[:3] == b"\0\1\x20":
            return socket.inet_ntoa(value[4:])
        at += 4 + size
    return None
