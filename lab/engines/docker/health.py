"""When is a container ready? The Compose healthcheck, run by the lab itself and often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lab.engines.docker.daemon import Daemon
from lab.engines.docker.hands import Agent
from lab.engines.docker.layout import Layout
from lab.engines.readiness import limit_s, until
from lab.errors import EngineError, NotReadyError
from lab.plan import Deployment, Instance
from lab.topology import Healthcheck

_LOOK_S = 0.05
_LOG_LINES = 20


class Health:
    """Looks after instances that are starting.

    Args:
        agent: there once the links are; instances without a healthcheck are looked at by it.
        image_checks: healthchecks that images bring along, by instance name.
        patience_s: least time given to an instance, whatever its healthcheck says.
    """

    def __init__(
        self,
        daemon: Daemon,
        agent: asyncio.Future[Agent],
        deployment: Deployment,
        layout: Layout,
        image_checks: Mapping[str, Healthcheck | None],
        patience_s: float,
    ) -> None:
        self._daemon = daemon
        self._image_checks = image_checks
        self._agent = agent
        self._deployment = deployment
        self._layout = layout
        self._patience_s = patience_s

    async def ready(self, instance: Instance, container: str) -> None:
        """Wait until the instance passes its healthcheck, or its image's.

        Without one: until it accepts connections on every port that a link leads to.

        Raises:
            NotReadyError: it ended, or was not ready in time; with its last lines of log.
        """
        check = instance.service.healthcheck or self._image_checks.get(instance.name)
        test = check.command if check else ()
        if not test:
            await asyncio.shield(self._agent)  # it does the looking: its start is no one's delay
        allowed_s = limit_s(check if test else None, self._patience_s)
        try:
            async with asyncio.timeout(allowed_s):
                await self._while_it_runs(instance, container, test, check)
        except TimeoutError:
            what = (
                f"its healthcheck `{' '.join(test)}` never passed"
                if test
                else self._ports_of(instance)
            )
            raise await self._not_ready(
                instance, container, f"was not ready within {allowed_s:.0f} s: {what}", test
            ) from None

    async def completed(self, instance: Instance, container: str) -> None:
        """Wait until an instance that has one job to do has done it.

        Raises:
            NotReadyError: it failed.
        """
        while (state := await self._state(container))["Status"] != "exited":  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        if code := state["ExitCode"]:
            raise await self._not_ready(instance, container, f"failed with exit code {code}", ())

    async def _while_it_runs(
        self, instance: Instance, container: str, test: Sequence[str], check: Healthcheck | None
    ) -> None:
        """Look until ready, and give up at once when the instance has ended."""
        if test and check:
            ready = asyncio.create_task(self._passes(container, test, check.timeout_s))
        else:
            ready = asyncio.create_task(self._accepts(instance))
        try:
            while not ready.done():
                await self._refuse_ended(instance, container)
                await asyncio.wait([ready], timeout=0.25)
            ready.result()
            await self._refuse_ended(instance, container)
        finally:
            ready.cancel()

    async def _passes(self, container: str, test: Sequence[str], timeout_s: float) -> None:
        async def passes() -> bool:
            try:
                code, _ = await asyncio.wait_for(self._run(container, test), timeout_s)
            except (TimeoutError, EngineError):
                return False  # too slow, or the container is between two starts
            return code == 0

        await until(passes)

    async def _run(self, container: str, test: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of a command in the container."""
        api = self._daemon.api
        created = await self._daemon.call(api.exec_create, container, list(test))
        output = await self._daemon.call(api.exec_start, created["Id"])
        state = await self._daemon.call(api.exec_inspect, created["Id"])
        return int(state["ExitCode"] or 0), output.decode(errors="replace")

    async def _accepts(self, instance: Instance) -> None:
        address = str(self._layout.containers[instance.name])
        agent = await asyncio.shield(self._agent)
        for port in self._ports(instance):
            while not await agent.order(
                "listening", address=address, port=port, timeout_s=self._patience_s
            ):
                pass

    def _ports(self, instance: Instance) -> list[int]:
        return sorted({end.link.port for end in self._deployment.ends_into(instance)})

    def _ports_of(self, instance: Instance) -> str:
        return f"nothing listens on port {' and '.join(map(str, self._ports(instance)))}"

    async def _refuse_ended(self, instance: Instance, container: str) -> None:
        state = await self._state(container)
        if state["Status"] in ("exited", "dead") and instance.service.restart == "no":
            why = " (out of memory)" if state.get("OOMKilled") else ""
            raise await self._not_ready(
                instance,
                container,
                f"ended with exit code {state['ExitCode']}{why} while starting",
                (),
            )

    async def _state(self, container: str) -> dict[str, Any]:
        found = await self._daemon.call(self._daemon.api.inspect_container, container)
        return dict(found["State"])

    async def _not_ready(
        self, instance: Instance, container: str, what: str, test: Sequence[str]
    ) -> NotReadyError:
        """The error with all that helps: what the check says now, and the end of the log."""
        text = f"{instance.name} ({instance.service.what}) {what}"
        if test:
            try:
                code, output = await asyncio.wait_for(self._run(container, test), 5.0)
                text += f"\n  the check says (exit code {code}): {output.strip() or 'nothing'}"
            except (TimeoutError, EngineError) as error:
                text += f"\n  the check: {error or 'did not end within 5 s'}"
        log = await tail(self._daemon, container)
        text += f"\n  its last lines of log:\n{log}" if log else "\n  it logged nothing"
        return NotReadyError(text, remedy=f"look into {instance.service.name} in its compose.yaml")


async def tail(daemon: Daemon, container: str, lines: int = _LOG_LINES) -> str:
    """The last lines of a container's log, indented."""
    raw: Any = await daemon.call(daemon.api.logs, container, tail=lines)
    return "\n".join(f"    {line}" for line in raw.decode(errors="replace").splitlines())


def image_check(image: dict[str, Any]) -> Healthcheck | None:
    """The healthcheck that an image brings along (nanoseconds in the API; 0 means the default)."""
    found = (image.get("Config") or {}).get("Healthcheck") or {}
    if not found.get("Test"):
        return None
    return Healthcheck(
        tuple(found["Test"]),
        interval_s=found.get("Interval", 0) / 1e9 or 30.0,
        timeout_s=found.get("Timeout", 0) / 1e9 or 30.0,
        retries=found.get("Retries", 0) or 3,
        start_period_s=found.get("StartPeriod", 0) / 1e9,
    )
