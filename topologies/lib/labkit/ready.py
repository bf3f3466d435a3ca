"""Exit 0 when the service on port 8000 answers `/healthz`: a Compose healthcheck.

Nothing but a socket, and run with `python3 -SE`: it starts in 20 ms, so it can be repeated often.
"""

import socket
import sys

with socket.create_connection(("127.0.0.1", 8000), timeout=2) as connection:
    connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    sys.exit(b" 200 " not in connection.recv(64))
