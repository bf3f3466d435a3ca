"""Whatever is done to a link's toxics meanwhile, bytes arrive once, in order and unchanged."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.proxy_servers import OURS, OURS_WITHOUT_UVLOOP, Link, Server, running, serving

# Toxics that delay and cut up, and lose nothing by themselves.
HARMLESS: dict[str, dict[str, st.SearchStrategy[int]]] = {
    "latency": {"latency": st.integers(0, 20), "jitter": st.integers(0, 10)},
    "bandwidth": {"rate": st.integers(0, 20_000)},
    "slicer": {
        "average_size": st.integers(1, 3000),
        "size_variation": st.integers(0, 5000),
        "delay": st.integers(0, 300),
    },
    "slow_close": {"delay": st.integers(0, 20)},
    "noop": {},
}
STREAMS = ("upstream", "downstream")


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, Any]:
    """One thing to do to a link: ("put" | "remove" | "cut" | "mend" | "send", with what)."""
    what = draw(st.sampled_from(["put", "put", "put", "remove", "cut", "mend", "send", "send"]))
    if what == "send":
        return what, draw(st.integers(1, 60_000))
    kind, stream = draw(st.sampled_from(sorted(HARMLESS))), draw(st.sampled_from(STREAMS))
    if what == "put":
        body = {
            "type": kind,
            "stream": stream,
            "toxicity": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "attributes": {name: draw(values) for name, values in HARMLESS[kind].items()},
        }
        return what, body
    return what, f"{kind}_{stream}"


@pytest.fixture(scope="module", params=[OURS, OURS_WITHOUT_UVLOOP])
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.getbasetemp()) as found:
        yield found


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(script=st.lists(edits(), min_size=3, max_size=25), seed=st.integers(0, 99))
def test_bytes_survive_every_edit(server: Server, script: list[tuple[str, Any]], seed: int):
    asyncio.run(_play(server, script, random.Random(seed)))


async def _play(server: Server, script: list[tuple[str, Any]], chance: random.Random) -> None:
    """Send and edit as it says, then make the link whole and compare what came back."""
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        sent, got = bytearray(), bytearray()
        for what, detail in script:
            if what == "send":
                data = chance.randbytes(detail)
                sent += data
                client.send(data)
                got += await client.read(len(sent) - len(got), 0.005)
            else:
                await _edit(link, what, detail)
        await _whole(link)
        got += await client.read(len(sent) - len(got))
        assert bytes(got) == bytes(sent)
        client.writer.write_eof()
        assert await client.ending() == ("eof", pytest.approx(0, abs=2))
        await client.close()
        await server.do("DELETE", f"/proxies/{link.name}")


async def _edit(link: Link, what: str, detail: Any) -> None:
    toxics = f"/proxies/{link.name}/toxics"
    if what == "put":
        answer = await link.server.do("POST", toxics, detail)
        if answer.status == 409:
            name = f"{detail['type']}_{detail['stream']}"
            answer = await link.server.do("PATCH", f"{toxics}/{name}", detail)
        assert answer.status == 200, answer
    elif what == "remove":
        assert (await link.server.do("DELETE", f"{toxics}/{detail}")).status in {204, 404}
    else:
        answer = await link.server.do("POST", f"/lab/{what}", {"proxies": [link.name]})
        assert answer.status == 204, answer


async def _whole(link: Link) -> None:
    await _edit(link, "mend", None)
    for toxic in (await link.server.do("GET", f"/proxies/{link.name}/toxics")).body:
        await _edit(link, "remove", toxic["name"])
