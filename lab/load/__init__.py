"""The load driver: what clients do, sent on time from a process of its own, all of it recorded.

    pacer, keys, mix    when each operation is due and what it is     pure, seeded
    retry               what a client does after a failure            pure
    connection, client  one attempt; one operation with its attempts  asyncio, httptools
    loops, recorder     open and closed loop; what happened
    driver              the process: orders in, operations out        JSON lines
    spec, session       the lab's end: SPEC from an experiment, orders to the drivers

Everything but `spec` and `session` imports only the standard library, httptools,
prometheus_client and (when present) uvloop, because it runs in a small container that holds
nothing else.
"""
