"""What the load driver costs beside other clients, and how well it keeps its schedule.

    python -m tests.bench.bench_driver          about 25 s

All clients do the same against the same server in the same run: 32 requests at a time, keep-alive,
a small GET. Only the client's own CPU time counts. The driver records and reports every operation
meanwhile; the others record nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

from tests.bench.results import keep
from tests.contract.loopback import ROOT, driving, serving, spec

AT_ONCE = 32
FOR_S = 3.0
RATES_PER_S = (500, 2000)

WITHOUT_UVLOOP = (
    "import sys; sys.modules['uvloop'] = None; from lab.load.driver import main; main()"
)


async def use_aiohttp(url: str, until_s: float) -> int:
    """GETs answered until then, by aiohttp."""
    import aiohttp

    async def user(session: aiohttp.ClientSession) -> int:
        count = 0
        while time.monotonic() < until_s:
            async with session.get(url) as answer:
                await answer.read()
            count += 1
        return count

    async with aiohttp.ClientSession() as session:
        return sum(await asyncio.gather(*(user(session) for _ in range(AT_ONCE))))


async def use_httpx(url: str, until_s: float) -> int:
    """GETs answered until then, by httpx."""
    import httpx

    async def user(client: httpx.AsyncClient) -> int:
        count = 0
        while time.monotonic() < until_s:
            await client.get(url)
            count += 1
        return count

    async with httpx.AsyncClient(trust_env=False) as client:
        return sum(await asyncio.gather(*(user(client) for _ in range(AT_ONCE))))


PEERS = {"aiohttp": use_aiohttp, "httpx": use_httpx}


def be_peer(name: str, port: str) -> None:
    """In a process of its own: run one peer and print what it did."""
    use = PEERS[name]
    began_s = time.process_time()
    count = asyncio.run(use(f"http://127.0.0.1:{port}/ok", time.monotonic() + FOR_S))
    print(json.dumps({"count": count, "cpu_s": time.process_time() - began_s}))


def peer_rate(name: str, port: int) -> float:
    """Requests per CPU-second of a peer."""
    command = [sys.executable, "-m", "tests.bench.bench_driver", name, str(port)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    result = json.loads(output)
    return float(result["count"] / result["cpu_s"])


async def driver_rate(port: int, *command: str) -> float:
    """Requests per CPU-second of the driver, recording included."""
    load = spec(port, "/ok", loop="closed", users=AT_ONCE, duration_s=FOR_S, timeout_s=5.0)
    async with driving(*command) as driver:
        seen = await driver.run(load)
    assert {op.outcome for op in seen.ops} == {"ok"}
    return float(len(seen.ops) / seen.done["cpu_s"])


async def lateness(port: int, rate_per_s: float) -> dict[str, float]:
    """Seconds between due and sent at that rate, Poisson arrivals."""
    load = spec(port, "/ok", arrivals="poisson", duration_s=4.0, rate_per_s=rate_per_s, timeout_s=5)
    async with driving() as driver:
        seen = await driver.run(load)
    return {**seen.done["lag"], "cpu_share": seen.done["cpu_s"] / 4.0}


def main() -> None:
    """Print both tables."""
    with serving() as server:
        rates = {
            "driver (uvloop)": asyncio.run(driver_rate(server.port)),
            "driver (asyncio)": asyncio.run(
                driver_rate(server.port, sys.executable, "-c", WITHOUT_UVLOOP)
            ),
            **{name: peer_rate(name, server.port) for name in PEERS},
        }
        print("client              requests per CPU-second   driver is")
        for name, rate in rates.items():
            print(f"{name:18}  {rate:>23,.0f}   {rates['driver (uvloop)'] / rate:>7.1f}x")
        keep({f"driver.ratio_vs.{name}": rates["driver (uvloop)"] / rates[name] for name in PEERS})
        print("\nschedule            late at p50      at p99       worst   driver's CPU")
        for rate_per_s in RATES_PER_S:
            late = asyncio.run(lateness(server.port, rate_per_s))
            times = "  ".join(f"{late[key] * 1e3:>7.3f} ms" for key in ("p50_s", "p99_s", "max_s"))
            print(f"{rate_per_s:>6}/s          {times}  {late['cpu_share']:>9.1%} of a core")
            keep({f"driver.late_p99_s.{rate_per_s}": late["p99_s"]})


if __name__ == "__main__":
    if sys.argv[1:]:
        be_peer(*sys.argv[1:])
    else:
        main()
