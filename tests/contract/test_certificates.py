"""Certificates of a run's own authority: served, refused by a client that looks, brought back."""

from __future__ import annotations

import re
import time

import pytest
import pytest_asyncio

from lab.engines import Cluster
from lab.errors import EngineError
from lab.faults import KINDS
from lab.loading import find_topology, load_topology
from lab.plan import Instance, deploy_topology
from tests.contract.certificates import CASES, PROJECT
from tests.contract.engines import MODES, up_on
from tests.contract.proving import bites_heals_and_leaves_nothing, is_healed_when_cancelled
from tests.contract.test_faults import settled


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
async def cluster(request, tmp_path_factory):
    """The shop whose app asks the inventory over TLS."""
    topology = load_topology(find_topology("shop/tls", PROJECT), "shop")
    out = tmp_path_factory.mktemp("run")
    async with up_on(request.param, deploy_topology(topology, CASES.values()), out) as found:
        yield found


def instance(cluster: Cluster, host: str) -> Instance:
    """By its host."""
    return next(i for i in cluster.deployment.instances if i.host == host)


async def bought(cluster: Cluster) -> tuple[int, str]:
    """Buy something, over a new connection from the app to the inventory."""
    return await cluster.http(instance(cluster, "app-1"), "POST", "/buy/1")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", sorted(CASES))
async def test_a_fault_bites_heals_and_leaves_nothing(cluster, case):
    """As every fault."""
    await bites_heals_and_leaves_nothing(CASES[case], cluster)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", ["wrong name", "lifetime"])
async def test_cancelling_a_fault_heals_it(cluster, case):
    """As every fault."""
    await is_healed_when_cancelled(CASES[case], cluster)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("case", "seen", "said"),
    [
        ("expired", r"expired [\d.]+ m?s ago", "certificate has expired"),
        ("wrong name", "wrong name", "Hostname mismatch"),
        ("unknown authority", "unknown authority", "unable to get local issuer certificate"),
    ],
)
async def test_a_client_that_looks_refuses_it_and_buys_again_once_it_is_healed(
    cluster, case, seen, said
):
    """What the app's own OpenSSL says is what the fault measured."""
    fault = CASES[case]
    await fault.prepare(cluster)
    assert await bought(cluster) == (200, "reserved 1\n")
    try:
        await fault.inject(cluster)
        assert re.fullmatch(seen, await settled(fault, cluster, in_effect=True))
        status, body = await bought(cluster)
        assert (status, said in body) == (503, True), body
        left = await cluster.residue()
        assert any("cert.pem and key.pem in /certs are not its own" in line for line in left), left
        assert any("a certificate is served that is not its own" in line for line in left), left
    finally:
        await fault.heal(cluster)
    assert await settled(fault, cluster, in_effect=False) == "verifies, 29 d left"
    assert await bought(cluster) == (200, "reserved 1\n")
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_lifetime_runs_out_in_the_middle(cluster):
    """Until then all is well for the app, and the fault is neither in effect nor gone."""
    fault = KINDS["certificate"].model_validate({"service": "inventory", "lifetime": "6s"})
    began_s = time.monotonic()
    try:
        await fault.inject(cluster)
        early = await fault.observe(cluster)
        while "29 d" in early.text and time.monotonic() < began_s + 4:  # not loaded yet
            early = await fault.observe(cluster)
        assert (early.in_effect, early.gone) == (False, False)
        assert re.fullmatch(r"verifies, \d[.\d]* m?s left", early.text)
        assert (await bought(cluster))[0] == 200
        await settled(fault, cluster, in_effect=True)
        ran_out_s = time.monotonic() - began_s
        assert 6 <= ran_out_s < 12  # a certificate says whole seconds, and a look takes its time
        status, body = await bought(cluster)
        assert (status, "certificate has expired" in body) == (503, True)
    finally:
        await fault.heal(cluster)
    await settled(fault, cluster, in_effect=False)
    assert (await bought(cluster))[0] == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_healed_while_the_service_is_down(cluster):
    """The pair that lies there is the one from before, and what starts then serves it."""
    fault, inventory = CASES["expired"], instance(cluster, "inventory-1")
    try:
        await fault.inject(cluster)
        await settled(fault, cluster, in_effect=True)
        await cluster.kill(inventory)
        down = await fault.observe(cluster)
        assert (down.in_effect, down.gone, down.text) == (False, False, "no answer")
        await fault.heal(cluster)
        assert (await fault.observe(cluster)).gone
    finally:
        await fault.heal(cluster)
        await cluster.start(inventory)
    assert await settled(fault, cluster, in_effect=False) == "verifies, 29 d left"
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_signal_that_would_end_the_service_is_refused(cluster):
    """Before any load; nothing was sent."""
    inventory = instance(cluster, "inventory-1")
    assert await cluster.handling(inventory, "HUP") == "caught"
    settings = {"service": "inventory", "becomes": "expired", "signal": "USR2"}
    with pytest.raises(EngineError, match="does not catch USR2"):
        await KINDS["certificate"].model_validate(settings).prepare(cluster)
    assert await bought(cluster) == (200, "reserved 1\n")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_is_found_by_all_of_its_names(cluster):
    """The link's name, its replica's, and `localhost`; no other one."""
    (end,) = cluster.deployment.ends_of("app -> inventory")
    authority = cluster._authority.pem.decode()
    for name, outcome in {
        "inventory": "verifies",
        "inventory-1": "verifies",
        "localhost": "verifies",
        "app": "wrong name",
    }.items():
        assert (await cluster._shake(end, name, authority, 2.0))["outcome"] == outcome
