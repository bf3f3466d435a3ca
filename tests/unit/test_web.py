"""The server's routes, asked without a browser: what they send, and whom they refuse."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lab import store
from lab.errors import EngineError
from lab.messages import Guessed, Message
from lab.record import Record
from lab.web import PageServer
from tests.unit import records, streams

A, B = "7f3a0001", "7f3a0002"


@pytest.fixture(scope="module")
def record() -> Record:
    return streams.record(run_id=A)


@pytest.fixture(scope="module")
def messages(record: Record) -> list[Message]:
    return list(streams.messages(record))


@pytest.fixture(scope="module")
def runs(record: Record, messages: list[Message], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of two runs: one with its messages, one from before runs kept them."""
    root = tmp_path_factory.mktemp("runs")
    save(root, record, messages)
    save(root, records.missed(streams.record(run_id=B)), [])
    return root


def save(root: Path, record: Record, messages: list[Message]) -> None:
    """Write a run as `lab run` does."""
    folder = root / record.experiment.name / f"20260101-00000{len(record.run_id)}-{record.run_id}"
    folder.mkdir(parents=True)
    log = store.MessageLog(folder)
    for message in messages:
        log.write(message)
    log.close()
    store.save(record, folder)


@pytest.fixture(scope="module")
def client(runs: Path) -> Iterator[httpx.Client]:
    with PageServer(runs) as server, httpx.Client(base_url=server.address) as client:
        yield client


def test_the_library_lists_every_run_once_and_filters(client: httpx.Client) -> None:
    page = client.get("/runs").text
    assert page.count(f'href="/runs/{A}"') == page.count(f'href="/runs/{B}"') == 1
    assert "rebuilt replay" in page
    assert "✗ Not as predicted" in page
    only = client.get("/runs", params={"verdict": "as predicted"}).text
    assert f'href="/runs/{A}"' in only
    assert f'href="/runs/{B}"' not in only
    assert "1 of 2 runs" in only
    assert "No run matches" in client.get("/runs", params={"q": "nothing like it"}).text


def test_a_finished_run_has_a_page_complete_without_a_script(client: httpx.Client) -> None:
    page = client.get(f"/runs/{A}").text
    assert "<h2>Claims</h2>" in page
    assert "As predicted" in page
    assert page.count('class="plot"') == 15


def test_a_rebuilt_run_says_what_is_missing(client: httpx.Client) -> None:
    assert "recorded before runs kept their messages" in client.get(f"/runs/{B}").text


def test_two_runs_compare_on_one_axis(client: httpx.Client) -> None:
    page = client.get("/compare", params={"a": A, "b": B}).text
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))  # type: ignore[union-attr]
    assert list(data["designs"]) == [f"{s} {name}" for s in "AB" for name in records.DESIGNS]
    assert page.index("A · pool-sized") < page.index("B · pool-sized")
    assert len(data["faults"]) == 1  # both had it in the same seconds
    assert client.get("/compare", params={"a": A}).headers["location"] == "/runs"


def test_the_report_comes_as_a_file(client: httpx.Client) -> None:
    answer = client.get(f"/runs/{A}/report.html")
    assert answer.headers["content-disposition"].endswith(f'filename="reddit-hug-{A}.html"')
    assert "sha256-" in answer.text


@pytest.mark.parametrize("path", ["/runs/ffffffff", "/static/../app.py", "/static/none.js", "/x"])
def test_what_is_not_there_is_404(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_moment_must_be_a_number(client: httpx.Client) -> None:
    assert client.get(f"/runs/{A}/at", params={"t": "now"}).status_code == 400
    assert client.get(f"/runs/{A}/at", params={"t": "12"}).json()["phase"] == "fault"


def test_every_answer_keeps_the_page_to_itself(client: httpx.Client) -> None:
    for path in ("/runs", f"/runs/{A}", "/static/page.css", "/x"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1]"])
def test_another_host_name_is_refused(client: httpx.Client, host: str) -> None:
    """A page elsewhere whose name resolves to 127.0.0.1 must not read this one."""
    assert client.get("/runs", headers={"Host": host}).status_code == 400


def test_only_the_guess_takes_a_post_and_only_from_the_page(
    record: Record, messages: list[Message], runs: Path
) -> None:
    heard: list[Guessed] = []
    with PageServer(runs, live=True, guesses=heard.append) as server:
        for message in messages[:20]:
            server.emit(message)
        with httpx.Client(base_url=server.address) as client:
            page = client.get("/", follow_redirects=True).text
            token = re.search(r'"token":"([^"]+)"', page).group(1)  # type: ignore[union-attr]
            where, said = f"/runs/{A}/guess", {"design": "pool-sized", "guess": "holds"}
            good = {"X-Lab-Token": token}
            assert client.post(f"/runs/{A}").status_code == 405
            assert client.get(where).status_code == 405
            assert client.post(where, json=said).status_code == 403
            assert client.post(where, json=said, headers={"X-Lab-Token": "x"}).status_code == 403
            foreign = {**good, "Origin": "http://evil.example"}
            assert client.post(where, json=said, headers=foreign).status_code == 403
            for wrong in ({}, [], {"design": "none", "guess": "holds"},
                          {"design": "pool-sized", "guess": "explodes"}):  # fmt: skip
                assert client.post(where, json=wrong, headers=good).status_code == 400
            assert heard == []
            assert client.post(where, json=said, headers=good).status_code == 204
            assert [(guess.design, guess.guess) for guess in heard] == [("pool-sized", "holds")]
            for message in messages[20:80]:
                server.emit(message)
            assert client.post(where, json=said, headers=good).status_code == 409


def _frames(client: httpx.Client, count: int, last: str = "") -> list[dict[str, object]]:
    """The first frames of the stream, and their ids."""
    headers = {"Last-Event-ID": last} if last else {}
    found: list[dict[str, object]] = []
    with client.stream("GET", f"/runs/{A}/events", headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data: ")))
            if len(found) == count:
                break
    return found


def test_a_page_that_comes_back_gets_exactly_what_it_missed(
    messages: list[Message], runs: Path
) -> None:
    with PageServer(runs, live=True) as server, httpx.Client(base_url=server.address) as client:
        for message in messages[:60]:
            server.emit(message)
        (first,) = _frames(client, 1)
        assert "run" in first
        for message in messages[60:75]:
            server.emit(message)
        (missed,) = _frames(client, 1, last=str(first["n"]))
        assert missed["n"] == 75
        assert "run" not in missed
        assert "add" in missed
        (late,) = _frames(client, 1)
        assert "run" in late


def test_the_stream_ends_with_the_run_and_a_page_that_never_reads_holds_up_nothing(
    messages: list[Message], runs: Path
) -> None:
    with PageServer(runs, live=True) as server:
        for message in messages[:20]:
            server.emit(message)
        deaf = socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        deaf.sendall(f"GET /runs/{A}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        with httpx.Client(base_url=server.address) as client:
            heard: list[dict[str, object]] = []
            listening = threading.Thread(target=lambda: heard.extend(_frames(client, 10**6)))
            listening.start()
            for message in messages[20:]:
                server.emit(message)
            listening.join(10)
            assert not listening.is_alive()
            assert heard[-1]["finished"] is True
        deaf.close()


def test_a_port_that_is_taken_is_said(runs: Path) -> None:
    with PageServer(runs) as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(EngineError, match=f"port {port} of 127.0.0.1"), PageServer(runs, port):
            pass


def test_nothing_is_left_running_when_it_is_closed(runs: Path) -> None:
    before = threading.active_count()
    with PageServer(runs, live=True) as server:
        address = server.address
        assert threading.active_count() > before
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_before_the_run_says_what_it_is_the_page_waits(runs: Path, messages: list[Message]) -> None:
    with PageServer(runs, live=True) as server:
        assert "asking the engine" in httpx.get(server.address).text
        server.emit(messages[0])
        assert httpx.get(server.address).headers["location"] == f"/runs/{A}"
