"""An interceptor that knows HTTP: it sits between the proxy of a link and the link's server.

    client -> proxy (the link's address) -> interceptor -> server

A process of its own, `python -m lab.proxies.interceptor`, the same on every engine, and only in the
path of links that an experiment's faults name for it. What no rule strikes passes byte for byte.

    heads, bodies     where a message of HTTP/1 ends (RFC 9112)
    rules             which requests are struck, and how
    side, relay       one connection: two sockets, and what passes between them
    link              where the connections of one link come in
    tries             requests of the lab's own, that prove what a rule does
    orders, __main__  orders in, answers out
"""
