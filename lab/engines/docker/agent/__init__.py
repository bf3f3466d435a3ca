"""The network agent: runs in a container that shares the proxy's network namespace.

Standard library only, a package of its own with relative imports, put into the container as it is.
Orders come as JSON lines on stdin, `{"id": 1, "do": "cut", …}`; answers leave on stdout,
`{"id": 1, "is": …}` or `{"id": 1, "error": "…"}`. It ends with its stdin, so it never outlives the
run that gave orders.

A link is an address in this namespace, so packets of one link can be counted and dropped without
touching any other, nor the containers at its ends. It waits ready in a process of its own because
`docker exec` alone takes longer (90 ms) than a fault may be late (20 ms).

    kernel                            commands of the kernel's tools
    rules, connections, tries         packet rules, open connections, probes
    names, dns                        a name server for services that look names up
    netlink, stage, datagrams         single packets: taken from the kernel, changed, looked at
    cable, echo                       a container without its network, and whether it answers
    offers                            what the kernel can do, for `lab doctor`
    agent, __main__                   orders in, answers out
"""

METRICS_PORT = 9475
