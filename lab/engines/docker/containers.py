"""Containers as the Docker Engine API describes them: pure, from the values of a topology.

The API's own words are used (docs.docker.com/reference/api/engine, `POST /containers/create`), so
that what is sent can be read, printed and tested without a daemon.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab.engines.docker.layout import PROXY, Layout, hosts_of
from lab.engines.docker.owner import INSTANCE, PART
from lab.engines.inside.clocks import CLOCK, RIGHT
from lab.errors import EngineError
from lab.plan import Deployment, Instance
from lab.topology import File, Service

Config = dict[str, Any]

FAKETIME = "/usr/$LIB/faketime/libfaketimeMT.so.1"
"""Where distributions keep the library, in the form for programs with threads."""

_PERIOD_US = 100_000  # what Docker makes of `--cpus`

_HOSTNAME_MAX = 63

_LOG = {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "2"}}


def instance_config(
    instance: Instance,
    image: str,
    deployment: Deployment,
    layout: Layout,
    network: str,
    labels: Mapping[str, str],
) -> Config:
    """The container of one instance, in the run's network, with its links in its hosts file.

    One that is to look names up finds them at the network agent, by way of Docker's own resolver.
    """
    service, sized = instance.service, instance.service.sized
    if instance.name in deployment.resolving:
        names = {"Dns": [str(layout.containers[PROXY])], "DnsSearch": ["."]}
    else:
        hosts = hosts_of(instance.name, instance.design, deployment, layout)
        names = {"ExtraHosts": hosts}
    config: Config = {
        "Image": image,
        "Hostname": _hostname(instance, deployment, layout),
        "Env": [f"{name}={value}" for name, value in _environment(instance, deployment).items()],
        "Labels": {
            **labels,
            PART: "instance",
            INSTANCE: instance.name,
            "lab.design": instance.design,
            "lab.service": service.name,
        },
        # The lab runs the check itself, at start and as often as is useful; Docker would go on
        # running it in the middle of measurements, at 90 ms of CPU each.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_limits(service),
            **names,
            "LogConfig": _LOG,
            "NetworkMode": network,
            "RestartPolicy": _restart(service.restart),
            "Init": service.init,
            "Tmpfs": dict(_tmpfs(text) for text in service.tmpfs),
            "Mounts": [
                *(_volume(text, labels) for text in service.volumes if _name(text) not in sized),
                *sized_volumes(instance, layout, labels),
            ],
            "Sysctls": dict(service.sysctls),
        },
        **joins(network, layout.containers[instance.name], layout.alias(instance)),
    }
    optional = {
        "Cmd": list(service.command) if service.command is not None else None,
        "Entrypoint": list(service.entrypoint) if service.entrypoint is not None else None,
        "User": service.user,
        "WorkingDir": service.working_dir,
        "StopSignal": service.stop_signal,
    }
    return {**config, **{key: value for key, value in optional.items() if value is not None}}


def _hostname(instance: Instance, deployment: Deployment, layout: Layout) -> str:
    """Its own name; where names are looked up, one that nobody else looks up.

    Docker's resolver gives away the real address behind any hostname of the network
    (moby, daemon/container_operations.go: updateNetworkConfig), past the links. And no dot: what
    is behind it would be a domain to search for names that fail (resolv.conf(5)).
    """
    if deployment.resolving:
        return layout.container_name(instance.name)[:_HOSTNAME_MAX]
    return instance.host


def _environment(instance: Instance, deployment: Deployment) -> Mapping[str, str]:
    """What the topology says, and for a clock that is to be set the library that tells the time.

    libfaketime's own variables (its README): the file is read at every question, and monotonic
    clocks go on. `$LIB` is for the dynamic linker (ld.so(8)); an image that lacks the library runs
    without it, and the fault is refused.
    """
    service = instance.service
    if instance.name not in deployment.skewed:
        return service.environment
    preload = [text for text in (service.environment.get("LD_PRELOAD"), FAKETIME) if text]
    return {
        **service.environment,
        "LD_PRELOAD": ":".join(preload),
        "FAKETIME_TIMESTAMP_FILE": CLOCK,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }


def clock_archive(instance: Instance, deployment: Deployment) -> bytes:
    """The file that such a library reads, with the right time; nothing for other instances."""
    return archive({CLOCK: RIGHT.encode()}) if instance.name in deployment.skewed else b""


def part_config(
    image: str,
    part: str,
    labels: Mapping[str, str],
    *,
    command: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    host: Mapping[str, Any] | None = None,
) -> Config:
    """One of the lab's own containers; `host` adds to its HostConfig."""
    config: Config = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in (env or {}).items()],
        "Labels": {**labels, PART: part},
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {"LogConfig": _LOG, **(host or {})},
    }
    return config if command is None else {**config, "Cmd": list(command)}


def joins(network: str, address: IPv4Address, *aliases: str) -> Config:
    """The part of a container's description that puts it on the network at an address."""
    endpoint = {"IPAMConfig": {"IPv4Address": str(address)}, "Aliases": list(aliases)}
    return {"NetworkingConfig": {"EndpointsConfig": {network: endpoint}}}


def talks() -> Config:
    """What lets this process hold a container's standard input: it ends when this process does."""
    return {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "OpenStdin": True,
        "StdinOnce": True,
    }


def _limits(service: Service) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard}
            for name, (soft, hard) in service.ulimits.items()
        ]
    }
    if service.cpus is not None:
        limits |= quota(service.cpus)
    if service.memory_bytes is not None:
        # Swap counts towards the same limit, so a service that needs more dies instead of crawling.
        limits |= {"Memory": service.memory_bytes, "MemorySwap": service.memory_bytes}
    return limits


def quota(cpus: float) -> dict[str, int]:
    """A number of cores as the kernel counts it, which unlike `NanoCpus` can be lifted again."""
    return {"CpuPeriod": _PERIOD_US, "CpuQuota": round(cpus * _PERIOD_US)}


def _restart(policy: str) -> dict[str, Any]:
    name, _, count = policy.partition(":")
    if name == "no":
        return {"Name": ""}
    return {"Name": name, **({"MaximumRetryCount": int(count)} if count else {})}


def _tmpfs(text: str) -> tuple[str, str]:
    target, _, options = text.partition(":")
    return target, options


def _volume(text: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A volume of `name:/target` or `/target`: new and empty in every run, and its alone."""
    target = next(part for part in text.split(":") if part.startswith("/"))
    return {"Type": "volume", "Target": target, "VolumeOptions": {"Labels": dict(labels)}}


def sized_volumes(
    instance: Instance, layout: Layout, labels: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Its volumes in memory. Their names are known, so that another container can hold them too.

    Docker's `local` driver unmounts a volume with the last container that uses it, and what was in
    memory is gone with that.
    """
    for text in instance.service.volumes:
        if (name := _name(text)) in instance.service.sized:
            yield {
                **_volume(text, labels),
                "Source": f"{layout.container_name(instance.name)}-{name}",
                "VolumeOptions": {
                    # What an image has at that place would be copied into memory that is given up
                    # before the container starts.
                    "NoCopy": True,
                    "Labels": dict(labels),
                    "DriverConfig": {
                        "Name": "local",
                        "Options": {
                            "type": "tmpfs",
                            "device": "tmpfs",
                            "o": instance.service.sized[name],
                        },
                    },
                },
            }


def _name(volume: str) -> str:
    return volume.partition(":")[0]


def files_archive(files: Sequence[File]) -> bytes:
    """A tar, to be unpacked at `/`, of an author's files; everyone in the container may read them.

    Raises:
        EngineError: one of them is not there or cannot be read.
    """
    entries: dict[str, Path] = {}
    for file in files:
        if not file.source.exists():
            raise EngineError(
                f"{file.source} is to be put at {file.target}, but does not exist",
                remedy="correct `volumes:` or `configs:` in the Compose file",
            )
        if file.source.is_dir():
            for path in sorted(file.source.rglob("*")):
                if "__pycache__" not in path.parts:
                    entries[f"{file.target}/{path.relative_to(file.source).as_posix()}"] = path
        else:
            entries[file.target] = file.source
    return archive({target: source for target, source in entries.items() if source.is_file()})


def archive(entries: Mapping[str, Path | bytes]) -> bytes:
    """A tar of files by absolute path in the container, given as a file here or as content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for target, source in entries.items():
            info = tarfile.TarInfo(target.lstrip("/"))
            try:
                content = source if isinstance(source, bytes) else source.read_bytes()
                runs = not isinstance(source, bytes) and source.stat().st_mode & 0o100
            except OSError as error:
                raise EngineError(f"{error.filename} cannot be read: {error.strerror}") from error
            info.mode, info.size = 0o755 if runs else 0o644, len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
