"""What toxics do to bytes: one set of behaviours, shown by Toxiproxy and the lab's proxy.

Where the two differ on purpose, `test_proxy_differences.py` says how and why.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.contract.proxy_servers import (
    BOTH,
    EARLY_S,
    LATE_S,
    Link,
    Server,
    running,
    serving,
    until,
)


@pytest.fixture(scope="module", params=BOTH)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.getbasetemp()) as found:
        yield found


def about(seconds: float, wanted_s: float) -> bool:
    """Not early, and no later than a busy machine may be."""
    return wanted_s - EARLY_S <= seconds < wanted_s + LATE_S


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_latency_is_added_to_open_connections_and_taken_away(server: Server, stream: str):
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        toxic = await link.add("latency", stream, latency=150)
        assert about((await client.ask())[1], 0.150)
        await link.change(toxic, attributes={"latency": 50})
        assert about((await client.ask())[1], 0.050)
        await link.remove(toxic)
        assert (await client.ask())[1] < 0.050
        await client.close()


async def test_latency_is_per_chunk_and_not_in_turn(server: Server):
    """Ten chunks sent 20 ms apart arrive 20 ms apart: they do not wait for each other."""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("latency", latency=200)
        client = await link.open()
        began_s = time.monotonic()
        for _ in range(10):
            client.send(b"x")
            await asyncio.sleep(0.02)
        assert await client.read(10) == b"x" * 10
        assert about(time.monotonic() - began_s, 9 * 0.020 + 0.200)
        await client.close()


async def test_jitter_stays_within_its_bounds_and_keeps_the_order(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("latency", latency=40, jitter=30)
        client = await link.open()
        delays = [(await client.ask(b"%d" % n))[1] for n in range(9)]
        assert min(delays) >= 0.010 - EARLY_S
        assert max(delays) < 0.070 + LATE_S
        assert max(delays) - min(delays) > 0.005
        for n in range(9):
            client.send(b"%d" % n)
            await asyncio.sleep(0.003)
        assert await client.read(9) == b"012345678"
        await client.close()


async def test_latency_does_not_delay_the_end_of_an_idle_connection(server: Server):
    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    async with serving(hang_up) as peer:
        link = server.link(peer.port)
        await link.add("latency", latency=1000)
        client = await link.open()
        client.send(b"x")
        how, seconds = await client.ending()
        assert (how, seconds < 0.5) == ("eof", True)
        await client.close()


async def test_removing_latency_delivers_what_is_under_way(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        toxic = await link.add("latency", latency=10_000)
        client = await link.open()
        for n in range(5):
            client.send(b"%d" % n)
            await asyncio.sleep(0.02)
        assert await client.read(5, 0.1) == b""
        await link.remove(toxic)
        assert await client.read(5, 1.0) == b"01234"
        await client.close()


async def test_bandwidth_limits_bytes_per_second(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        toxic = await link.add("bandwidth", rate=400)
        client = await link.open()
        data = random.Random(2).randbytes(200_000)
        began_s = time.monotonic()
        client.send(data)
        half = await client.read(100_000)
        half_s = time.monotonic() - began_s
        assert half + await client.read(100_000) == data
        assert about(time.monotonic() - began_s, 0.5 - 0.02)
        assert about(half_s, 0.25 - 0.1)  # long chunks arrive in pieces of 100 ms
        client.send(data)
        await client.read(10_000)
        await link.remove(toxic)
        began_s = time.monotonic()
        assert len(await client.read(190_000)) == 190_000
        assert time.monotonic() - began_s < 0.3
        await client.close()


async def test_no_bandwidth_at_all_lets_nothing_pass(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        toxic = await link.add("bandwidth", rate=0)
        client = await link.open()
        assert (await client.ask(timeout_s=0.3))[0] == b""
        await link.remove(toxic)
        assert await client.read(5, 2.0) == b"hello"
        await client.close()


async def test_slow_close_delays_the_end_and_nothing_else(server: Server):
    async def speak(reader, writer):
        writer.write(b"hello")
        writer.close()

    async with serving(speak) as peer:
        link = server.link(peer.port)
        await link.add("slow_close", delay=250)
        began_s = time.monotonic()
        client = await link.open()
        assert await client.read(5) == b"hello"
        assert time.monotonic() - began_s < 0.25
        how, _ = await client.ending()
        assert how == "eof"
        assert about(time.monotonic() - began_s, 0.25)
        await client.close()


async def test_timeout_swallows_and_closes_after_so_long_without_a_byte(server: Server):
    """An idle timer: a busy connection is swallowed, but not closed."""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("timeout", "upstream", timeout=300)
        client = await link.open()
        began_s = time.monotonic()
        for _ in range(5):
            await asyncio.sleep(0.1)
            client.send(b"x")
        sent_s = time.monotonic() - began_s
        how, _ = await client.ending()
        assert how == "eof"
        assert about(time.monotonic() - began_s, sent_s + 0.3 - 0.02)
        await client.close()


async def test_timeout_zero_is_silence_until_it_is_removed_and_then_the_end(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        toxics = [await link.add("timeout", s, timeout=0) for s in ("upstream", "downstream")]
        assert (await client.ask(timeout_s=0.3))[0] == b""
        assert (await client.ending(0.1))[0] == "open"
        for toxic in toxics:
            await link.remove(toxic)
        assert (await client.ending())[0] == "eof"
        await client.close()
        again = await link.open()
        assert (await again.ask())[0] == b"hello"
        await again.close()


@pytest.mark.parametrize("timeout_ms", [0, 200])
async def test_reset_peer_resets_new_connections_after_their_first_byte(
    server: Server, timeout_ms: int
):
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("reset_peer", "upstream", timeout=timeout_ms)
        client = await link.open()
        assert (await client.ending(0.1))[0] == "open"
        client.send(b"x")
        how, seconds = await client.ending()
        assert how == "reset"
        assert about(seconds, timeout_ms / 1000)
        await until(lambda: peer.ended)
        assert peer.ended == ["reset"]
        await client.close()


async def test_slicer_delivers_slices_apart_in_order(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("slicer", average_size=100, size_variation=20, delay=10_000)
        client = await link.open()
        data = random.Random(3).randbytes(800)
        began_s = time.monotonic()
        client.send(data)
        slices = []
        while sum(map(len, slices)) < len(data):
            slices.append(await client.reader.read(1000))
        assert b"".join(slices) == data
        assert max(map(len, slices)) <= 120
        assert len(slices) >= 7
        assert about(time.monotonic() - began_s, 0.010 * (len(slices) - 1))
        await client.close()


@pytest.mark.parametrize("limit_bytes", [0, 7, 100])
async def test_limit_data_closes_after_exactly_so_many_bytes(server: Server, limit_bytes: int):
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("limit_data", bytes=limit_bytes)
        client = await link.open()
        client.send(b"x" * 120)
        assert await client.read(200) == b"x" * limit_bytes
        await client.close()


async def test_toxics_act_in_the_order_in_which_they_were_added(server: Server):
    """What is late first and limited then arrives late and whole, and then ends."""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("latency", latency=150)
        await link.add("limit_data", bytes=3)
        client = await link.open()
        got, seconds = await client.ask()
        assert (got, about(seconds, 0.15)) == (b"hel", True)
        await client.close()


async def test_noop_changes_nothing(server: Server):
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("noop")
        client = await link.open()
        assert (await client.ask())[0] == b"hello"
        await client.close()


@pytest.mark.parametrize(("toxicity", "low", "high"), [(0.0, 0, 0), (0.3, 15, 47), (1.0, 100, 100)])
async def test_toxicity_is_the_share_of_connections_hit(
    server: Server, toxicity: float, low: int, high: int
):
    """15 to 47 of 100: outside of that once in 10,000 tries."""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("limit_data", toxicity=toxicity, bytes=0)
        assert low <= await _hits(link, 100) <= high


async def _hits(link: Link, count: int) -> int:
    """How many of so many connections end without an answer."""

    async def hit() -> bool:
        client = await link.open()
        try:
            return not (await client.ask())[0]
        except OSError:
            return True
        finally:
            await client.close()

    return sum([await hit() for _ in range(count)])
