"""Control of the lab's own proxy: Toxiproxy's API and the lab's additions to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import httpx

from lab.errors import EngineError
from lab.proxies import Stream, Way, streams
from lab.proxies.greetings import Saying
from lab.proxies.toxiproxy import DEADLINE_S, ToxiproxyClient

Outcome = Literal["answered", "silent", "refused", "reset", "closed"]


class Probed(NamedTuple):
    """One try of a link; the fields of `lab.engines.Probe`."""

    outcome: Outcome
    seconds: float
    connect_s: float | None


class Passed(NamedTuple):
    """What a proxy passed on since it exists, both ways, without probes."""

    chunks: int
    bytes: int


class EmbeddedProxies(ToxiproxyClient):
    """One process of `lab.proxies.embedded`; `url` is what it said when it was ready.

    A chain of this proxy can be changed at any time, so nobody needs to know whether a peer reads.
    Every call raises `lab.errors.EngineError` when it is refused, or not answered in time.
    """

    def __init__(self, url: str, deadline_s: float = DEADLINE_S) -> None:
        super().__init__(url, deadline_s=deadline_s)
        self._url = url
        self._deadline_s = deadline_s

    async def cut(self, names: Sequence[str], stream: Way = "both", why: str = "") -> None:
        """Nothing passes any more, no byte and no new connection; what is cut stays so.

        With one stream, bytes of the other still pass on the connections that there are. It lasts
        for as long as it is wanted in anybody's name.
        """
        order = {"proxies": list(names), "stream": stream, "why": why}
        await self._ask("cutting", "/lab/cut", order)

    async def mend(self, names: Sequence[str], stream: Way = "both", why: str = "") -> None:
        """Everything goes on where it was; what is whole stays so, and what others want cut."""
        order = {"proxies": list(names), "stream": stream, "why": why}
        await self._ask("mending", "/lab/mend", order)

    async def passing(self, name: str, timeout_s: float) -> frozenset[Stream]:
        """The streams that pass on a connection that is open: bytes sent and seen to arrive."""
        order = {"proxy": name, "timeout_s": timeout_s}
        found = await self._ask(f"looking at {name}", "/lab/passes", order, timeout_s)
        return frozenset(stream for stream in streams("both") if found[stream])

    async def reset(self, names: Sequence[str]) -> None:
        """Reset the connections that are open; of what is cut, once it is mended."""
        await self._ask("resetting", "/lab/reset", {"proxies": list(names)})

    async def cuts(self) -> dict[str, list[str]]:
        """In whose names proxies are cut, by the proxy's."""
        return dict(await self._ask("cuts", "/lab/cuts"))

    async def traffic(self) -> dict[str, Passed]:
        """What each proxy passed on."""
        counts = await self._ask("traffic", "/lab/traffic")
        return {name: Passed(count["chunks"], count["bytes"]) for name, count in counts.items()}

    async def probe(self, name: str, timeout_s: float, port: int | None = None) -> Probed:
        """One try of a proxy, from its client's side.

        `port` is where such a server usually listens, when the proxy leads to another port: it
        decides what is said.
        """
        order = {"proxy": name, "timeout_s": timeout_s, "port": port}
        found = await self._ask(f"probing {name}", "/lab/probe", order, timeout_s)
        return Probed(found["outcome"], found["seconds"], found["connect_s"])

    async def exchange(self, name: str, saying: Saying, timeout_s: float) -> dict[str, Any]:
        """A longer try of a proxy; the fields of `lab.engines.Exchange`."""
        order = {"proxy": name, "timeout_s": timeout_s, "saying": list(saying)}
        found = await self._ask(f"talking over {name}", "/lab/exchange", order, timeout_s)
        return dict(found)

    async def _ask(self, what: str, path: str, body: Any = None, longer_s: float = 0.0) -> Any:
        """What it answers. Many probes wait at a time, so this takes none of the few threads."""
        timeout_s = self._deadline_s + longer_s
        method = "GET" if body is None else "POST"
        try:
            # Plain HTTP on loopback: `verify` only spares it from reading certificates.
            async with httpx.AsyncClient(
                trust_env=False,
                verify=False,  # noqa: S501
                timeout=timeout_s,
            ) as client:
                answer = await client.request(method, self._url + path, json=body)
        except httpx.TimeoutException:
            raise EngineError(f"proxy: {what}: no answer within {timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise EngineError(f"proxy: {what}: it is gone ({error})") from error
        if answer.is_error:
            raise EngineError(f"proxy: {what}: {answer.text} (status {answer.status_code})")
        return answer.json() if answer.content else None
