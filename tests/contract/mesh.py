"""Four nodes, each with a link to every other: for tests of who hears whom."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from lab.engines import Cluster
from lab.plan import Deployment, deploy_topology
from lab.topology import Link, Scrape, Service, Topology
from tests.contract.tiny import IMAGE, check

# GET /hear/HOST: whether a new connection to HOST is answered. GET /talk/HOST opens two connections
# that stay: this node pushes a byte every 20 ms on one, and HOST streams so on the other.
# GET /heard: how many of those bytes arrived here, by the way they came.
NODE = """
import collections, http.client, json, socket, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
heard = collections.Counter()
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    def do_GET(self):
        how, _, host = self.path.strip('/').partition('/')
        if how == 'stream':
            self.send_response(200)
            self.end_headers()
            drip(self.wfile.write)
            return
        answer = {'hear': hear, 'talk': talk, 'heard': lambda _: heard}[how](host)
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_POST(self):
        while data := self.rfile.read1(65536):
            heard['pushed'] += len(data)
    def log_message(self, *_):
        pass
def drip(write):
    try:
        while True:
            write(b'x')
            time.sleep(0.02)
    except OSError:
        pass
def hear(host):
    connection = http.client.HTTPConnection(host, 9000, timeout=0.8)
    try:
        connection.request('GET', '/heard')
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
def talk(host):
    def push():
        peer = socket.create_connection((host, 9000))
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(b'POST / HTTP/1.1\\r\\nContent-Length: 1000000000\\r\\n\\r\\n')
        drip(peer.sendall)
    def pull():
        peer = socket.create_connection((host, 9000))
        peer.sendall(b'GET /stream HTTP/1.1\\r\\n\\r\\n')
        while data := peer.recv(65536):
            heard['streamed'] += len(data)
    for run in (push, pull):
        threading.Thread(target=run, daemon=True).start()
    return 'talking'
ThreadingHTTPServer(('', 9000), Handler).serve_forever()
"""

NODES = ("node-1", "node-2", "node-3", "node-4")
Pair = frozenset[str]


def deployment() -> Deployment:
    """`client -> node`, and every node to every other."""
    node = Service(
        "node",
        image=IMAGE,
        command=("python", "-u", "-c", NODE),
        healthcheck=check("http://127.0.0.1:9000/heard"),
        scrape=Scrape(9000),
        replicas=len(NODES),
    )
    links = (Link("node", "node", 9000),)
    return deploy_topology(Topology("mesh", {"node": node}, links, Link("client", "node", 9000)))


def apart(*pairs: tuple[int, int]) -> set[Pair]:
    """Pairs of nodes by their numbers."""
    return {frozenset({f"node-{one}", f"node-{other}"}) for one, other in pairs}


async def ask(cluster: Cluster, node: str, path: str) -> Any:
    """What a node answers, past every link."""
    status, body = await cluster.http(cluster.deployment.instance(f"mesh/{node}"), "GET", path)
    assert status == 200, body
    return json.loads(body)


async def deaf(cluster: Cluster) -> set[Pair]:
    """Pairs of nodes that do not hear each other; it is the same from both sides."""
    tries = list(itertools.permutations(NODES, 2))
    answers = await asyncio.gather(*(ask(cluster, one, f"/hear/{other}") for one, other in tries))
    silent = [pair for pair, heard in zip(tries, answers, strict=True) if not heard]
    assert {pair[::-1] for pair in silent} == set(silent)
    return {frozenset(pair) for pair in silent}
