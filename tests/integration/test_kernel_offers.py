"""What `lab doctor` says of packet faults, tried on the engine's kernel."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from lab.doctor import packet_faults
from lab.engines.docker.daemon import connect
from lab.engines.docker.offers import kernel_offers

CONFIG = Path("/proc/config.gz")


@pytest.mark.docker
def test_what_the_kernel_offers_is_what_it_was_built_with() -> None:
    """Held against the kernel's own list where it shows one; no container is left."""
    client = connect()
    try:
        offers = kernel_offers(client)
        left = client.containers.list(all=True, filters={"label": "lab.part=trial"})
    finally:
        client.close()
    assert offers is not None, "the image was built by earlier runs"
    assert set(offers) == {"iptables", "share", "queue", "netem"}
    assert left == []
    assert offers["iptables"] == ""
    if CONFIG.exists() and "DOCKER_HOST" not in os.environ:
        text = gzip.decompress(CONFIG.read_bytes()).decode()
        built = {word.partition("=")[0] for word in text.split() if word.endswith(("=y", "=m"))}
        for key, option in (
            ("share", "CONFIG_NETFILTER_XT_MATCH_STATISTIC"),
            ("queue", "CONFIG_NETFILTER_XT_TARGET_NFQUEUE"),
            ("netem", "CONFIG_NET_SCH_NETEM"),
        ):
            assert (option in built) == (not offers[key]), (key, offers[key])
    assert packet_faults(offers).fine == (not offers["share"] and not offers["queue"])
