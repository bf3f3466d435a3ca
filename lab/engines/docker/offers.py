"""What the kernel of the Docker engine offers for faults of packets, found out by trying.

It is not this machine's kernel where Docker runs in a virtual machine, and its list of modules says
nothing of what a container may load: so the agent tries, in a container without a network.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import Any

import docker
import requests
from docker.errors import DockerException

from lab.engines.docker import parts
from lab.engines.docker.owner import labels_of

_ENDS_S = 20


def kernel_offers(client: docker.DockerClient) -> dict[str, str] | None:
    """Why not, by what was tried: `iptables`, `share`, `queue`, `netem`; "" where it is there.

    None before the image for it has been built, or where the daemon does not start it.
    """
    images = client.images.list(name=parts.TOOLBOX_IMAGE)
    if not images:
        return None
    api: Any = client.api
    run_id = f"doctor-{secrets.token_hex(4)}"
    part = parts.trial(str(images[0].id), labels_of(run_id, kept=False))
    try:
        container = api.create_container_from_config(part.config, f"lab-{run_id}")["Id"]
    except (DockerException, requests.RequestException):
        return None
    try:
        api.put_archive(container, "/", part.files)
        api.start(container)
        api.wait(container, timeout=_ENDS_S)
        return dict(json.loads(api.logs(container, stderr=False)))
    except (DockerException, requests.RequestException, ValueError):
        return None
    finally:
        with contextlib.suppress(DockerException, requests.RequestException):
            api.remove_container(container, force=True)
