"""HTTP/1.1 requests as bytes, prepared once so that sending one costs next to nothing."""

from __future__ import annotations

from lab.load.settings import RequestSpec

_IDEMPOTENT = frozenset(
    {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}
)  # RFC 9110 section 9.2.2
_KEY = b"{key}"


class Template:
    """One kind of request; `idempotent` says whether sending it twice is the same as once.

    Raises:
        ValueError: the path or a header cannot be written in HTTP.
    """

    __slots__ = ("_body", "_fixed", "_head", "idempotent")

    def __init__(self, request: RequestSpec, authority: str, *, keep_alive: bool) -> None:
        headers = {"Host": authority, "User-Agent": "chaos-lab", "Accept": "*/*"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if not keep_alive:
            headers["Connection"] = "close"
        own = {name.lower() for name in request.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in own}
        lines = [f"{name}: {value}" for name, value in {**headers, **request.headers}.items()]
        self.idempotent = request.method in _IDEMPOTENT
        self._body = None if request.body is None else request.body.encode()
        self._head = _head(f"{request.method} {request.path} HTTP/1.1", lines)
        has_key = _KEY in self._head or _KEY in (self._body or b"")
        self._fixed = None if has_key else self._written(b"")

    def wire(self, key: str) -> bytes:
        """The request for that key, ready to be sent."""
        return self._fixed or self._written(key.encode())

    def _written(self, key: bytes) -> bytes:
        head = self._head.replace(_KEY, key)
        if self._body is None:
            return head + b"\r\n"
        body = self._body.replace(_KEY, key)
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def _head(first: str, lines: list[str]) -> bytes:
    if first.count(" ") != 2 or not first.isascii() or not first.isprintable():
        raise ValueError(
            f"`{first}` is not a request line: percent-encode spaces and non-ASCII in the path"
        )
    for line in lines:
        if not line.isprintable():
            raise ValueError(f"header {line!r} holds characters that HTTP does not allow")
    try:
        return "".join(f"{line}\r\n" for line in [first, *lines]).encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(f"a header holds characters that HTTP does not allow: {error}") from None
