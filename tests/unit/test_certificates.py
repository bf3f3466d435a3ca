"""A run's authority, its certificates, and the handshake that proves them; on a real TLS server."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lab.engines import Flaw, Handshake
from lab.engines.authority import Authority, left_s
from lab.engines.handshake import handshake
from lab.engines.local.recipes import why_not
from lab.errors import SpecError
from lab.faults import KINDS
from lab.faults.certificate import _said
from lab.loading import load_topology
from lab.plan import Deployment, Instance, deploy_topology
from lab.topology import Service

PROJECT = Path(__file__).resolve().parents[2]
SERVER = Instance("a", Service("inventory", certificates="/certs", trusts=None), 1)
LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def served(files: Mapping[str, bytes], folder: Path) -> AsyncIterator[int]:
    """A TLS server with such a pair; its port."""
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, LOOPBACK, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_an_instance_gets_what_its_service_asks_for():
    """Certificate, key and authority; the authority alone; or nothing."""
    authority = Authority()
    trusting = Instance("a", Service("app", trusts="/etc/trust"), 1)
    assert set(authority.files(SERVER, [LOOPBACK])) == {
        "/certs/ca.pem",
        "/certs/cert.pem",
        "/certs/key.pem",
    }
    assert authority.files(trusting, [LOOPBACK]) == {"/etc/trust/ca.pem": authority.pem}
    assert authority.files(Instance("a", Service("db"), 1), [LOOPBACK]) == {}


def test_its_own_pair_stays_the_same_and_others_are_new():
    """Healing brings back exactly what was there."""
    authority = Authority()
    own = authority.files(SERVER, [LOOPBACK])
    pair = authority.pair(SERVER, [LOOPBACK])
    assert own == {"/certs/ca.pem": authority.pem, **pair}
    assert authority.pair(SERVER, [LOOPBACK], "expired") != pair
    assert authority.pair(SERVER, [LOOPBACK]) == pair


@pytest.mark.parametrize(
    ("flaw", "name", "outcome"),
    [
        (None, "inventory", "verifies"),
        (None, "inventory-1", "verifies"),
        (None, "localhost", "verifies"),
        (None, LOOPBACK, "verifies"),
        (None, "127.64.7.2", "verifies"),
        (None, "127.64.7.3", "wrong name"),
        (None, "app", "wrong name"),
        ("expired", "inventory", "expired"),
        ("wrong_name", "inventory", "wrong name"),
        ("unknown_ca", "inventory", "unknown authority"),
    ],
)
async def test_what_a_careful_client_sees(
    flaw: Flaw | None, name: str, outcome: str, tmp_path: Path
):
    """OpenSSL's word, and the certificate itself, whether it was taken or not."""
    authority = Authority()
    addresses = [LOOPBACK, "127.64.7.2"]
    own = authority.files(SERVER, addresses)
    pair = authority.pair(SERVER, addresses, flaw)
    async with served(own | pair, tmp_path) as port:
        seen = await handshake(LOOPBACK, port, name, authority.pem.decode(), 5)
    assert seen["outcome"] == outcome
    found = base64.b64decode(seen["served"])
    assert authority.is_own(SERVER, found) == (flaw is None)
    assert (left_s(found) < 0) == (flaw == "expired")


async def test_a_lifetime_runs_out(tmp_path: Path):
    """A good one for whole seconds, and then expired."""
    authority = Authority()
    own = authority.files(SERVER, [LOOPBACK])
    async with served(own | authority.pair(SERVER, [LOOPBACK], lifetime_s=2), tmp_path) as port:
        outcomes = []
        async with asyncio.timeout(10):
            while "expired" not in outcomes:
                seen = await handshake(LOOPBACK, port, "inventory", authority.pem.decode(), 5)
                outcomes.append(seen["outcome"])
                left = left_s(base64.b64decode(seen["served"]))
                assert left <= 3
                await asyncio.sleep(0.05)
    assert set(outcomes) == {"verifies", "expired"}
    assert len(outcomes) > 10


async def test_servers_without_tls_and_without_a_server():
    """What speaks something else is no TLS; what says nothing, hangs up or refuses is no answer."""

    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    pem = Authority().pem.decode()
    for talk, outcome in ((plain, "no TLS"), (silent, "no answer"), (hangs_up, "no answer")):
        server = await asyncio.start_server(talk, LOOPBACK, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            seen = await handshake(LOOPBACK, port, "inventory", pem, 0.3)
            assert seen == {"outcome": outcome, "served": ""}
    assert (await handshake(LOOPBACK, port, "inventory", pem, 1))["outcome"] == "no answer"


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (Handshake("verifies", 29.9 * 86_400), "verifies, 29 d left"),
        (Handshake("verifies", 23.5 * 3600), "verifies, 23 h left"),
        (Handshake("verifies", 4.25), "verifies, 4.25 s left"),
        (Handshake("expired", -3.0), "expired 3 s ago"),
        (Handshake("wrong name", 100.0), "wrong name"),
        (Handshake("no answer"), "no answer"),
    ],
)
def test_a_handshake_in_words(seen: Handshake, text: str):
    """With what is left where that matters."""
    assert _said(seen) == text


@pytest.mark.parametrize("settings", [{}, {"becomes": "expired", "lifetime": "5s"}])
def test_either_a_flaw_or_a_lifetime(settings: dict[str, str]):
    """Both, or neither, says nothing that could be done."""
    with pytest.raises(ValueError, match="either `becomes` or `lifetime`"):
        KINDS["certificate"].model_validate({"service": "inventory", **settings})


def tls_shop() -> Deployment:
    """The shop's variant."""
    return deploy_topology(load_topology(PROJECT / "topologies/shop/compose.tls.yaml", "shop"))


def test_a_service_without_a_certificate_is_a_mistake():
    """Said when the file is read, with what to add."""
    fault = KINDS["certificate"].model_validate({"service": "app", "becomes": "expired"})
    assert list(fault.misfits(tls_shop())) == [  # type: ignore[attr-defined]
        (
            "service",
            "`app` has no certificate",
            "add x-lab.certificates: {app: /certs} to its topology",
        )
    ]


def test_the_shop_with_tls_is_read():
    """Folders by service; a slash at the end means nothing."""
    services = {i.service.name: i.service for i in tls_shop().instances}
    assert (services["inventory"].certificates, services["inventory"].trusts) == ("/certs", None)
    assert (services["app"].certificates, services["app"].trusts) == (None, "/certs")


def test_only_python_services_get_certificates_without_docker():
    """A server whose files are translated would not find them."""
    proxy = Service("proxy", image="nginx:1.27", certificates="/certs")
    assert any("certificates go only to services built on Python" in why for why in why_not(proxy))


@pytest.mark.parametrize("folder", ["certs", "/", "/certs/..", "/a b"])
def test_a_folder_is_a_path_from_the_root(folder: str, tmp_path: Path):
    """Anything else is a mistake of the file."""
    file = tmp_path / "compose.yaml"
    file.write_text(
        "services: {app: {image: x}}\n"
        f"x-lab: {{entry: 'app:80', trusts: {{app: '{folder}'}}}}\n"
    )
    with pytest.raises(SpecError, match="is not a folder in the container"):
        load_topology(file, "x")
