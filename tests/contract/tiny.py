"""A tiny deployment for tests of engines: an app that calls two servers on the same port."""

from __future__ import annotations

from lab.plan import Deployment, deploy_topology
from lab.topology import Healthcheck, Link, Scrape, Service, Topology

# GET /new/HOST opens a connection, /held/HOST keeps one; both say how long the answer took, in ms,
# or what went wrong. `timeout` in seconds.
APP = """
import http.client, json, socket, sys, threading, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
held, lock = {}, threading.Lock()
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        how, _, host = url.path.strip('/').partition('/')
        timeout = float(dict(urllib.parse.parse_qsl(url.query)).get('timeout', 2))
        body = {'healthz': lambda *_: 'ok', 'metrics': metrics, 'new': new, 'keep': keep,
                'resolve': resolve, 'flood': flood}[how](host, timeout)
        data = body.encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, form, *args):
        print('served', form % args, file=sys.stderr, flush=True)
def metrics(*_):
    return '# TYPE tiny_up gauge\\ntiny_up 1\\n'
def ask(connection):
    began = time.monotonic()
    try:
        connection.request('GET', '/')
        text = connection.getresponse().read().decode()
    except Exception as error:
        connection.close()
        return json.dumps({'error': type(error).__name__, 'ms': (time.monotonic() - began) * 1e3})
    return json.dumps({'text': text, 'ms': (time.monotonic() - began) * 1e3})
def new(host, timeout):
    connection = http.client.HTTPConnection(host, 9000, timeout=timeout)
    try:
        return ask(connection)
    finally:
        connection.close()
def keep(host, timeout):
    with lock:
        connection = held.setdefault(host, http.client.HTTPConnection(host, 9000, timeout=30))
    return ask(connection)
def resolve(host, timeout):
    try:
        return json.dumps(sorted({i[4][0] for i in socket.getaddrinfo(host, 9000, socket.AF_INET)}))
    except OSError as error:
        return json.dumps(str(error))
def flood(host, timeout):
    def run():
        peer = socket.create_connection((host, 9000))
        peer.sendall(b'POST / HTTP/1.1\\r\\nContent-Length: 100000000000\\r\\n\\r\\n')
        while True:
            peer.sendall(b'x' * 65536)
            time.sleep(0.001)
    threading.Thread(target=run, daemon=True).start()
    return 'flooding'
ThreadingHTTPServer(('', 8000), Handler).serve_forever()
"""

# Says its name; a POST is read for ever; /die ends it.
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        if self.path == '/die':
            os._exit(5)
        data = os.environ['NAME'].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_POST(self):
        while self.rfile.read(65536):
            pass
    def log_message(self, *_):
        pass
print('listening', flush=True)
ThreadingHTTPServer(('', 9000), Handler).serve_forever()
"""
IMAGE = "chaos-lab/python"


def check(url: str) -> Healthcheck:
    """A healthcheck by HTTP."""
    code = f"import urllib.request as r; r.urlopen('{url}', timeout=1)"
    return Healthcheck(("CMD", "python", "-c", code), interval_s=1, timeout_s=2, retries=10)


def server(name: str, **changes: object) -> Service:
    """A service that listens on port 9000."""
    values: dict[str, object] = {
        "image": IMAGE,
        "command": ("python", "-c", SERVER),
        "environment": {"NAME": name},
    }
    return Service(name, **{**values, **changes})  # type: ignore[arg-type]


def topology(**services: Service) -> Topology:
    """App -> store, app -> cache, both at port 9000; `other` has no link."""
    app = Service(
        "app",
        image=IMAGE,
        command=("python", "-u", "-c", APP),
        healthcheck=check("http://127.0.0.1:8000/healthz"),
        depends_on={"store": "service_started"},
        scrape=Scrape(8000),
        cpus=0.8,
        memory_bytes=128 << 20,
    )
    all_ = {
        "app": app,
        "store": server("store"),
        "cache": server("cache"),
        "other": server("other", shared=True),
        **services,
    }
    links = (Link("app", "store", 9000), Link("app", "cache", 9000))
    return Topology("tiny", all_, links, Link("client", "app", 8000))


def deployment(**services: Service) -> Deployment:
    """What runs for one tiny design."""
    return deploy_topology(topology(**services))
