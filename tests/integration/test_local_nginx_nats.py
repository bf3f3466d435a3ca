"""The recipes of nginx and NATS, with the real servers."""

from __future__ import annotations

import asyncio

import pytest

from lab.topology import File, Healthcheck, Service
from tests.integration.local_processes import Host, http, killed_and_back, listening, started, write


async def test_nginx_in_front_of_a_service(host: Host) -> None:
    """The mounted site listens on both families and passes to two replicas by one name."""
    site = write(
        host.folder,
        "default.conf.template",
        "server {\n  listen 80;\n  listen [::]:80;\n  location /api/ { proxy_pass ${UPSTREAM}/; }\n"
        "  location / { root /usr/share/nginx/html; }\n}\n",
    )
    host.give("web-1", 8000)
    host.give("web-2", 8000)
    host.give("lb", 80)
    host.names["web"] = (*host.names["web-1"], *host.names["web-2"])
    answer = write(host.folder, "answer.py", ANSWER)
    web = Service(
        "web",
        image="python:3.13",
        command=("python3", "-I", "answer.py"),
        files=(File(answer, "/answer.py"),),
        healthcheck=Healthcheck(("CMD", "bash", "-c", "exec 3<>/dev/tcp/localhost/8000")),
    )
    lb = Service(
        "lb",
        image="nginx:1.29",
        environment={"UPSTREAM": "http://web:8000"},
        files=(File(site, "/etc/nginx/templates/default.conf.template"),),
        healthcheck=Healthcheck(("CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/80")),
    )
    async with started(host, "web-1", web) as one, started(host, "web-2", web) as two:
        await one.ready()
        await two.ready()
        async with started(host, "lb", lb) as nginx:
            await nginx.ready()
            assert listening(nginx.pid) == {host.where("lb", 80)}
            said = [(await http(host.where("lb", 80), "/api/x"))[1] for _ in range(4)]
            for replica in ("web-1:/x", "web-2:/x"):
                assert any(replica in answer for answer in said)
            assert (await http(host.where("lb", 80), "/"))[0] == 200
            await killed_and_back(nginx)
            assert (await http(host.where("lb", 80), "/api/x"))[0] == 200


ANSWER = """
import os, socket
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f" {os.environ['ME']}:{self.path}".encode())

os.environ.setdefault("ME", os.path.basename(os.path.dirname(os.environ["TMPDIR"])))
assert socket.gethostbyname(socket.gethostname()).startswith("127.")
HTTPServer(("0.0.0.0", 8000), Answer).serve_forever()
"""


async def test_nats_keeps_a_stream_over_a_kill(host: Host) -> None:
    """By command line: its clients' and its monitoring port, and streams on disk."""
    host.give("nats", 4222, 8222)
    service = Service(
        "nats",
        image="nats:2.11",
        command=("-js", "-m", "8222", "-sd", "/data"),
        healthcheck=Healthcheck(("CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/4222")),
    )
    async with started(host, "nats", service) as nats:
        await nats.ready()
        assert listening(nats.pid) == {host.where("nats", 4222), host.where("nats", 8222)}
        stream = '{"name":"kept","subjects":["kept"],"storage":"file"}'
        assert '"name":"kept"' in await nats_request(host, "$JS.API.STREAM.CREATE.kept", stream)
        await killed_and_back(nats)
        assert '"name":"kept"' in await nats_request(host, "$JS.API.STREAM.INFO.kept", "")
        assert (await http(host.where("nats", 8222), "/healthz"))[0] == 200


async def test_nats_with_a_configuration(host: Host) -> None:
    """Every way to write a listener; two servers form a cluster by name."""
    for name in ("one", "two"):
        host.give(name, 4222, 6222, 8222)
    conf = write(
        host.folder,
        "nats.conf",
        'port: 4222  # clients\nhost = "0.0.0.0"\nhttp: 8222\n'
        "cluster { name: c, listen: 0.0.0.0:6222\n routes: [nats://one:6222, nats://two:6222] }\n",
    )
    service = Service(
        "nats",
        image="nats",
        command=("nats-server", "-c", "/etc/nats/nats.conf"),
        files=(File(conf, "/etc/nats/nats.conf"),),
        healthcheck=Healthcheck(("CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/6222")),
    )
    async with started(host, "one", service) as one, started(host, "two", service) as two:
        await one.ready()
        await two.ready()
        assert listening(one.pid) == {host.where("one", port) for port in (4222, 6222, 8222)}
        for _ in range(200):
            if '"num_routes": 0' not in (await http(host.where("one", 8222), "/routez"))[1]:
                return
            await asyncio.sleep(0.05)
        pytest.fail("the two servers did not find each other")


async def nats_request(host: Host, subject: str, payload: str) -> str:
    """One request to the server itself, in its own protocol."""
    reader, writer = await asyncio.open_connection(*host.where("nats", 4222))
    try:
        writer.write(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\n')
        writer.write(f"PUB {subject} answer {len(payload)}\r\n{payload}\r\n".encode())
        async with asyncio.timeout(10):
            while not (line := await reader.readline()).startswith(b"MSG"):
                assert line, "closed"
            return (await reader.readline()).decode()
    finally:
        writer.close()
        await writer.wait_closed()
