"""The interceptor, byte by byte over real sockets: what no rule strikes passes as it came."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from lab.engines.local.pipe import Pipe
from lab.proxies.interceptor.orders import Interceptor

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Serve = Callable[[Reader, Writer], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(params=["process", "here"], autouse=True)
def where(request):
    """In a process of its own on uvloop, as it runs; and here, on the standard library's loop."""
    Bench.where = request.param


class Bench:
    """A client's way to a server through an interceptor, and what the server got."""

    where: ClassVar[str]

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.connections = 0
        self.address = ("", 0)
        self._here = Interceptor()
        self._pipe: Pipe | None = None

    async def order(self, do: str, **arguments: Any) -> Any:
        if self.where == "here":
            return await getattr(self._here, do)(**arguments)
        if self._pipe is None:
            self._pipe = await Pipe.start("interceptor", "lab.proxies.interceptor", None)
        return await self._pipe.ask(do, **arguments)

    async def arm(self, **rule: Any) -> None:
        await self.order("arm", rules={"link": {"name": "r", "seed": "1", **rule}})

    async def disarm(self) -> None:
        await self.order("disarm", links=["link"], rule="r")

    async def attempt(self, pretends: str | None) -> dict[str, Any]:
        host, port = self.address
        asks = {"host": host, "port": port, "source": None, "pretends": pretends}
        return await self.order("attempt", **asks, timeout_s=1.0)

    async def counts(self) -> tuple[int, int, int]:
        """Requests seen, matched, struck."""
        found = (await self.order("counts", links=["link"], rule="r"))["link"]
        assert found
        return found["seen"], found["matched"], found["struck"]

    async def open(self, upstream: tuple[str, int]) -> None:
        self.address = tuple((await self.order("open", upstreams={"link": upstream}))["link"])

    async def close(self) -> None:
        for link in self._here._links.values():
            link._server.close()
        if self._pipe:
            await self._pipe.close()

    async def connect(self) -> tuple[Reader, Writer]:
        return await asyncio.open_connection(*self.address)

    async def say(self, *pieces: bytes, until: bytes = b"", end: bool = False) -> bytes:
        """Send pieces one by one; what comes back, until the end or until it ends like that."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
            if end:
                writer.write_eof()
            return await heard(reader, until)
        finally:
            writer.transport.abort()


async def heard(reader: Reader, until: bytes = b"") -> bytes:
    """What comes until the end, or until it ends in these bytes."""
    found = b""
    async with asyncio.timeout(5):
        while not (until and found.endswith(until)):
            data = await reader.read(1 << 16)
            if not data:
                break
            found += data
    return found


@asynccontextmanager
async def bench(serve: Serve) -> AsyncIterator[Bench]:
    """A server that behaves like this, behind an interceptor."""
    made = Bench()

    serving: set[asyncio.Task[None]] = set()

    async def serve_one(reader: Reader, writer: Writer) -> None:
        try:
            await serve(Recording(reader, made.got), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accepted(reader: Reader, writer: Writer) -> None:
        made.connections += 1
        serving.add(asyncio.create_task(serve_one(reader, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()
    await made.open(upstream)
    try:
        yield made
        for task in serving:
            if task.done():
                task.result()
    finally:
        server.close()
        await made.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0.01)


class Recording(asyncio.StreamReader):
    """A reader that keeps what it read."""

    def __init__(self, reader: Reader, got: list[bytes]) -> None:
        self._inner, self._got = reader, got

    async def read(self, n: int = -1) -> bytes:
        data = await self._inner.read(n)
        self._got.append(data)
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        data = await self._inner.readuntil(separator)
        self._got.append(data)
        return data

    async def readexactly(self, n: int) -> bytes:
        data = await self._inner.readexactly(n)
        self._got.append(data)
        return data


def answers(*texts: bytes, close: bool = False) -> Serve:
    """A server that answers each head in turn, the last for ever."""

    async def serve(reader: Reader, writer: Writer) -> None:
        waiting = list(texts)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(waiting.pop(0) if len(waiting) > 1 else waiting[0])
            await writer.drain()
            if close and len(waiting) == 1:
                return

    return serve


async def echo(reader: Reader, writer: Writer) -> None:
    """Everything comes back as it was."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def test_bytes_pass_as_they_are_written():
    """Case, spaces and order of headers stay, whatever pieces they come in."""
    request = b"\r\nGET /a?b=c HTTP/1.1\r\nhOsT:  x\r\nX-Odd:\tvalue \r\n\r\n"
    async with bench(answers(OK)) as lab:
        for size in (1, 7, len(request)):
            lab.got.clear()
            pieces = [request[n : n + size] for n in range(0, len(request), size)]
            assert await lab.say(*pieces, until=b"ok") == OK
            assert b"".join(lab.got) == request


async def test_requests_sent_ahead_are_answered_in_order():
    """Pipelining (RFC 9112, 9.3.2), with a struck request in the middle."""
    one, two = OK.replace(b"ok", b"1!"), OK.replace(b"ok", b"2!")
    ahead = b"".join(GET.replace(b"/a", path) for path in (b"/one", b"/bad", b"/two"))

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"/one HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)  # the answer in between is ready long before
        writer.write(one)
        await reader.readuntil(b"/two HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write(two)
        await reader.read()

    async with bench(serve) as lab:
        await lab.arm(status=503, body="no", path="/bad")
        found = await lab.say(ahead, until=b"2!")
        first, _, rest = found.partition(b"1!")
        assert first + b"1!" == one
        assert rest.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert rest.endswith(b"\r\n\r\nno" + two)
        assert b"/bad" not in b"".join(lab.got)
        assert await lab.counts() == (3, 1, 1)


CHUNKED = b"4\r\nwiki\r\n6;name=value\r\npedia \r\n0\r\nX-Trailer: yes\r\n\r\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_chunked_request_ends_where_it_ends(size):
    """With trailers and extensions, in any pieces; the next request is seen as one."""
    head = b"POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + CHUNKED + GET

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readexactly(len(head + CHUNKED))
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK.replace(b"ok", b"!!"))
        await reader.read()

    async with bench(serve) as lab:
        await lab.arm(status=500, path="/elsewhere")
        pieces = [whole[n : n + size] for n in range(0, len(whole), size)]
        assert await lab.say(*pieces, until=b"!!") == OK + OK.replace(b"ok", b"!!")
        assert b"".join(lab.got) == whole
        assert await lab.counts() == (2, 0, 0)


async def test_a_struck_body_is_read_and_goes_nowhere():
    """The connection stays in step: the next request on it is served."""
    head = b"POST /bad HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with bench(answers(OK)) as lab:
        await lab.arm(status=500, body="no", method="POST")
        found = await lab.say(head + CHUNKED[:9], CHUNKED[9:] + GET, until=b"ok")
        assert found.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert found.endswith(b"\r\n\r\nno" + OK)
        assert b"".join(lab.got) == GET


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"HEAD /a HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
        (GET, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED),
    ],
    ids=["head", "204", "304", "103", "chunked"],
)
async def test_what_has_no_body_is_followed_by_the_next(request_, answer):
    """Answers end where RFC 9112 6.3 says, so the second request can be struck."""
    async with bench(answers(answer)) as lab:
        await lab.arm(status=503, body="no", path="/second")
        found = await lab.say(request_ + b"GET /second HTTP/1.1\r\n\r\n", until=b"no")
        assert found.startswith(answer + b"HTTP/1.1 503 ")


async def test_an_answer_until_the_end_of_the_connection():
    """HTTP/1.0: no length, so the end of the connection is passed on as it came."""
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000
    async with bench(answers(answer, close=True)) as lab:
        assert await lab.say(b"GET / HTTP/1.0\r\n\r\n") == answer


async def test_half_a_connection_may_be_closed():
    """A client that has said all it has to say still gets its answer."""

    async def serve(reader: Reader, writer: Writer) -> None:
        assert await reader.read() == GET
        writer.write(OK)

    async with bench(serve) as lab:
        assert await lab.say(GET, end=True) == OK


async def test_a_websocket_becomes_a_pipe():
    """After 101 the bytes are no HTTP, also those that were sent ahead; no rule sees them."""
    upgrade = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switched + b"\x81\x02hi")
        while data := await reader.read(100):
            writer.write(data.upper())

    async with bench(serve) as lab:
        await lab.arm(status=503, path="/never")
        found = await lab.say(upgrade + b"early ", b"\x82\x00" + GET, until=b"HOST: X\r\n\r\n")
        assert found == switched + b"\x81\x02hi" + b"EARLY \x82\x00" + GET.upper()
        assert await lab.counts() == (1, 0, 0)


async def test_an_upgrade_that_is_not_taken_goes_on_as_http():
    """With a body, as clients send that offer HTTP/2 on every first request."""
    offer = (
        b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    )

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"abc")
        writer.write(OK)
        await reader.read()

    async with bench(serve) as lab:
        await lab.arm(status=503, body="no", method="GET")
        found = await lab.say(offer + GET, until=b"no")
        assert found.startswith(OK + b"HTTP/1.1 503 ")


async def test_who_expects_100_gets_it_from_the_server():
    """Expect: 100-continue passes, and so does the interim answer."""
    head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(interim)
        assert await reader.readexactly(3) == b"abc"
        writer.write(OK)
        await reader.read()

    async with bench(serve) as lab:
        reader, writer = await lab.connect()
        writer.write(head)
        assert await heard(reader, interim) == interim
        writer.write(b"abc")
        assert await heard(reader, OK) == OK
        writer.close()


async def test_who_expects_100_and_is_struck_is_answered_at_once():
    """And the connection ends: the body may come now or not."""
    head = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    async with bench(answers(OK)) as lab:
        await lab.arm(status=429, retry_after_s=7, body="later")
        found = await lab.say(head)
        assert found.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"\r\nRetry-After: 7\r\n" in found
        assert b"\r\nConnection: close\r\n" in found
        assert found.endswith(b"\r\n\r\nlater")
        assert lab.got == []


@pytest.mark.parametrize(
    "text",
    [
        b"PING\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"GET /" + b"x" * 70_000,
    ],
    ids=["redis", "tls", "http2", "smuggled", "no colon", "no size", "long"],
)
async def test_what_is_not_http_passes_all_the_same(text):
    """Nobody waits for the end of a head that never comes, and no byte is lost."""
    async with bench(echo) as lab:
        await lab.arm(status=503, method="PUT")
        reader, writer = await lab.connect()
        writer.write(text)
        assert await asyncio.wait_for(reader.readexactly(len(text)), 5) == text
        writer.write(b"more")
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"more"
        seen, matched, _ = await lab.counts()
        assert seen >= 1
        assert matched == 0
        await lab.disarm()
        await lab.arm(status=503)
        assert await lab.counts() == (1, 0, 0)  # this connection, that no rule can be about
        writer.close()


async def test_a_server_that_speaks_first_is_heard():
    """SMTP, MySQL: the first bytes come from the server."""

    async def serve(reader: Reader, writer: Writer) -> None:
        writer.write(b"220 hello\r\n")
        await echo(reader, writer)

    async with bench(serve) as lab:
        reader, writer = await lab.connect()
        assert await heard(reader, b"\r\n") == b"220 hello\r\n"
        writer.write(b"HELO x\r\n")
        assert await heard(reader, b"\r\n") == b"HELO x\r\n"
        writer.close()


async def test_a_delayed_request_reaches_the_server_late():
    """Only then; what comes behind it waits as well."""
    async with bench(answers(OK)) as lab:
        await lab.arm(delay_s=0.2, path="/slow")
        began_s = time.monotonic()
        reader, writer = await lab.connect()
        writer.write(GET.replace(b"/a", b"/slow") + GET)
        await asyncio.sleep(0.1)
        assert lab.got == []
        assert await heard(reader, OK + OK) == OK + OK
        assert 0.2 <= time.monotonic() - began_s < 1.0
        writer.close()


async def test_the_request_of_a_client_that_gave_up_arrives_late_all_the_same():
    """As it does from a slow network: the server works for nobody."""
    async with bench(answers(OK)) as lab:
        await lab.arm(delay_s=0.15)
        _, writer = await lab.connect()
        writer.write(GET)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        assert lab.got == []
        await asyncio.sleep(0.3)
        assert lab.got == [GET]


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "limit", "passes"),
    [
        (LONG, 60, LONG[:-940]),
        (LONG, 0, LONG[:-1000]),
        (OK, 60, OK[:-1]),
        (IN_CHUNKS + CHUNKED, 6, IN_CHUNKS + b"4\r\nwiki\r\n6;name=value\r\npe"),
        (IN_CHUNKS + CHUNKED, 60, IN_CHUNKS + b"4\r\nwiki\r\n6;name=value\r\npedia \r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100, 60, b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 60),
    ],
    ids=["length", "nothing", "short", "chunks", "all chunks", "until the end"],
)
async def test_a_truncated_answer_promises_more(answer, limit, passes):
    """So many bytes of the body, at least one less than all, then the end of the connection."""
    async with bench(answers(answer)) as lab:
        await lab.arm(truncate_bytes=limit, first=1)
        assert await lab.say(GET) == passes
        assert await lab.counts() == (1, 1, 1)
        if b"HTTP/1.1" in answer:
            assert await lab.say(GET, until=answer[-5:]) == answer


async def test_what_has_no_body_cannot_be_cut_and_does_not_count():
    """`first: 1` waits for the first answer that has one."""
    empty = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with bench(answers(empty, LONG)) as lab:
        await lab.arm(truncate_bytes=10, first=1)
        assert await lab.say(GET, GET) == empty + LONG[:-990]
        assert await lab.counts() == (2, 2, 1)


async def test_connections_that_are_open_are_struck_as_well():
    """The rule comes and goes in the middle of one."""
    async with bench(answers(OK)) as lab:
        reader, writer = await lab.connect()
        for armed in (False, True, False):
            if armed:
                await lab.arm(status=503, body="no")
            else:
                await lab.disarm()
            writer.write(GET)
            found = await heard(reader, b"no" if armed else b"ok")
            assert found.startswith(b"HTTP/1.1 503 " if armed else b"HTTP/1.1 200 ")
        assert lab.connections == 1
        assert await lab.counts() == (1, 1, 1)
        assert await lab.order("armed") == {}
        writer.close()


async def test_a_server_that_closes_an_idle_connection_does_not_end_the_client_s():
    """While we answer in its place; it is dialled anew for what it is to get."""

    async def serve(reader: Reader, writer: Writer) -> None:
        try:
            async with asyncio.timeout(0.1):
                await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            return  # idle for too long
        writer.write(OK)
        await reader.read()

    async with bench(serve) as lab:
        await lab.arm(status=503, body="no", path="/bad")
        reader, writer = await lab.connect()
        for _ in range(3):
            writer.write(GET.replace(b"/a", b"/bad"))
            assert (await heard(reader, b"no")).startswith(b"HTTP/1.1 503 ")
            await asyncio.sleep(0.08)
        writer.write(GET)
        assert await heard(reader, OK) == OK
        assert lab.connections == 2
        writer.close()


async def test_an_idle_connection_that_the_server_closes_is_closed():
    """As without us: nobody answered in its place."""
    async with bench(answers(OK, close=True)) as lab:
        assert await lab.say(GET) == OK


async def test_a_server_that_refuses_is_not_there_for_the_client_either():
    """A proxy closes the connection of a client whose server it cannot reach."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    lab = Bench()
    await lab.open(address)
    reader, writer = await lab.connect()
    assert await heard(reader) == b""
    writer.close()
    await lab.close()


@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_reset_is_passed_on_as_one(who):
    """Not as an end, which would look like a whole answer."""
    reset = asyncio.Event()
    seen = asyncio.Event()

    def tear(writer: Writer) -> None:
        made = writer.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await writer.drain()
        await reset.wait()
        if who == "server":
            tear(writer)
            return
        try:
            await reader.read(1)
        except ConnectionResetError:
            seen.set()

    async with bench(serve) as lab:
        reader, writer = await lab.connect()
        writer.write(GET)
        assert (await heard(reader, b"half")).endswith(b"half")
        reset.set()
        if who == "server":
            with pytest.raises(ConnectionResetError):
                await heard(reader)
        else:
            await asyncio.sleep(0.05)
            tear(writer)
            await asyncio.wait_for(seen.wait(), 2)
        writer.close()


async def test_a_body_that_nobody_reads_is_held_back():
    """Back-pressure: a slow reader slows the writer, and memory stays small."""
    sent = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while sent < 100_000_000:
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    async with bench(serve) as lab:
        reader, writer = await lab.connect()
        writer.write(GET)
        await asyncio.sleep(0.5)
        stalled = sent
        assert stalled < 40_000_000  # the kernel's buffers on both ways hold a few MB each
        received = 0
        while data := await reader.read(1 << 20):
            received += len(data)
            if received >= 100_000_000:
                break
        assert sent == 100_000_000
        writer.close()


async def test_a_big_upload_passes_and_a_client_that_sends_ahead_waits():
    """10 MB of body, and 10 MB behind a delayed head."""
    size = 10_000_000
    head = b"POST /up HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(size)
            writer.write(OK)

    async with bench(serve) as lab:
        for delay_s in (0.0, 0.2):
            await lab.disarm()
            await lab.arm(delay_s=delay_s)
            reader, writer = await lab.connect()
            writer.write(head + b"y" * size)
            assert await heard(reader, OK) == OK
            writer.close()
        assert sum(map(len, lab.got)) == 2 * (size + len(head))


async def test_the_same_seed_strikes_the_same_requests():
    """In order of arrival, whatever connection they come on; another seed strikes others."""

    async def struck(seed: str, connections: int) -> list[int]:
        async with bench(answers(OK)) as lab:
            await lab.arm(status=503, body="no", share=0.3, seed=seed)
            found = []
            ways = [await lab.connect() for _ in range(connections)]
            for number in range(60):
                reader, writer = ways[number % connections]
                writer.write(GET)
                answer = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                if answer.startswith(b"HTTP/1.1 503"):
                    found.append(number)
            for _, writer in ways:
                writer.close()
            assert await lab.counts() == (60, 60, len(found))
            return found

    one = await struck("1", 1)
    assert 6 <= len(one) <= 30
    assert await struck("1", 7) == one
    assert await struck("2", 1) != one


async def test_probes_are_struck_and_do_not_count():
    """`first: 1` is for a request that somebody means; the server never sees what they pretend."""
    async with bench(answers(OK)) as lab:
        await lab.arm(status=503, body="no", first=1, method="POST", path="/buy/*")
        for _ in range(3):
            assert (await lab.attempt("POST /buy/lab r"))["status"] == 503
        assert (await lab.attempt(None))["status"] == 200
        assert (await lab.say(b"POST /buy/7 HTTP/1.1\r\n\r\n", until=b"no"))[9:12] == b"503"
        assert (await lab.say(b"POST /buy/7 HTTP/1.1\r\n\r\n", until=b"ok"))[9:12] == b"200"
        await lab.disarm()
        lab.got.clear()
        assert (await lab.attempt("POST /buy/lab r"))["status"] == 200
        text = b"".join(lab.got)
        assert text.startswith(b"GET /healthz HTTP/1.1\r\n")
        assert b"Chaos-Lab-Probe" not in text
        assert text.endswith(b"\r\n\r\n")
