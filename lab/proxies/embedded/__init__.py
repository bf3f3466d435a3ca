"""The lab's own link proxy: one process, Toxiproxy's HTTP API, and partitions on top.

    client --> Listener --> Connection( Flow upstream: toxics …  ) --> server
                            Connection( Flow downstream: toxics … )

Sockets are read and written here and not by asyncio's transports, because only then nothing moves
while a link is cut: a transport goes on sending what it has taken. `docs/reference/proxy.md` lists
what differs from Toxiproxy.
"""
