"""What only the local engine has to do: see connections past the proxies, refuse what it cannot."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import EngineError
from tests.contract import tiny
from tests.contract.engines import up

pytestmark = pytest.mark.local


async def test_a_connection_past_the_proxy_is_seen(tmp_path: Path) -> None:
    """One that goes through its link is none, and one without a link is allowed."""
    async with up("local", tiny.deployment(), tmp_path) as lab:
        assert (await lab.ask("/keep/store"))["text"] == "store"
        assert (await lab.ask("/keep/other"))["text"] == "other"
        looks = (await lab.cluster.bypasses()).looks
        async with asyncio.timeout(10):
            while (await lab.cluster.bypasses()).looks < looks + 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (await lab.cluster.bypasses()).found == ()
        straight = lab.address(lab.store.name)
        assert (await lab.ask(f"/keep/{straight}"))["text"] == "store"
        async with asyncio.timeout(10):
            while not (await lab.cluster.bypasses()).found:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        (found,) = (await lab.cluster.bypasses()).found
        assert "tiny/app-1 -> store-1:9000" in found


async def test_an_image_without_a_server_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """All of them at once, by name, with what else there is."""
    broker = replace(tiny.server("store"), image="rabbitmq:4")
    queue = replace(tiny.server("cache"), image="confluentinc/cp-kafka:8.0.0")
    with pytest.raises(EngineError) as caught:
        async with up("local", tiny.deployment(store=broker, cache=queue), tmp_path):
            pass
    assert "rabbitmq:4" in caught.value.message
    assert "confluentinc/cp-kafka:8.0.0" in caught.value.message
    assert "--engine docker" in (caught.value.remedy or "")
    assert not (tmp_path / "logs").exists()
