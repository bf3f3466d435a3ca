"""A web server that answers in every way that HTTP allows, and in some that it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Web(BaseHTTPRequestHandler):
    """Answers in each of the ways that HTTP has for saying where an answer ends."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b"# HELP level L\nlevel 4\n"
        match self.path:
            case "/length":
                self.head(**{"Content-Length": str(len(body))})
                self.wfile.write(body)
            case "/chunks":
                self.head(**{"Transfer-Encoding": "chunked"})
                for part in (body[:5], body[5:]):
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            case "/closes":
                self.head(Connection="close")
                self.wfile.write(body)
            case "/cut":
                self.head(**{"Content-Length": "999"})
                self.wfile.write(body)
                self.close_connection = True
            case "/html":
                self.head(**{"Content-Length": "6"})
                self.wfile.write(b"<html>")
            case _:
                self.send_error(500)

    def head(self, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[int]:
    """Its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()
