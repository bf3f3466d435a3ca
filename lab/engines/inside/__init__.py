"""Work on the processes of a service, from beside them: file limits, disks, throttles, clocks.

Standard library only, with relative imports. On the docker engine it is put as it is into a
container that sees all processes of the daemon's machine (`python -m inside`), because a container
that shares the namespace of one service would die with it, and a service may be started anew in
the middle of a fault. On the local engine the supervisor uses the part that it can.

    groups                    which processes a container has, by its cgroup
    mounts                    files of a container, and the file systems that they are on
    holder                    what is put in force again as long as a fault lasts
    ballast, files, throttle  the faults
    inside, __main__          orders in, answers out, as with the network agent
"""
