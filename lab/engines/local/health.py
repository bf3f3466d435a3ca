"""When is a process ready? Its healthcheck, translated by its recipe, or else its ports."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lab.engines.local.layout import Layout
from lab.engines.local.program import Program
from lab.engines.local.supervised import Supervisor
from lab.engines.readiness import limit_s, until
from lab.errors import NotReadyError
from lab.plan import Deployment, Instance

_LOG_LINES = 20
_LOG_BYTES = 16_384
_CHECK_TIMEOUT_S = 5.0


class Health:
    """Looks after instances that are starting.

    Args:
        logs: where each instance logs to, by name.
        patience_s: least time given to an instance, whatever its healthcheck says.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        deployment: Deployment,
        layout: Layout,
        logs: Mapping[str, Path],
        patience_s: float,
    ) -> None:
        self._supervisor = supervisor
        self._deployment = deployment
        self._layout = layout
        self._logs = logs
        self._patience_s = patience_s

    async def ready(self, instance: Instance, program: Program) -> None:
        """Wait until the instance passes its healthcheck, or accepts on every port of a link.

        Raises:
            NotReadyError: it ended, or was not ready in time; with its last lines of log.
        """
        check = instance.service.healthcheck if program.check else None
        limit = limit_s(check, self._patience_s)
        try:
            async with asyncio.timeout(limit):
                await until(lambda: self._passes(instance, program))
        except TimeoutError:
            said = await self._said(instance, program)
            raise self._not_ready(instance, f"was not ready within {limit:.0f} s: {said}") from None

    async def completed(self, instance: Instance) -> None:
        """Wait until an instance that has one job to do has done it.

        Raises:
            NotReadyError: it failed.
        """
        while (state := await self._supervisor.state(instance.name)).status != "exited":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if state.exit_code:
            raise self._not_ready(instance, f"failed with exit code {state.exit_code}")

    async def _passes(self, instance: Instance, program: Program) -> bool:
        """Whether it is ready now."""
        state = await self._supervisor.state(instance.name)
        if state.status == "exited" and instance.service.restart == "no":
            raise self._not_ready(
                instance, f"ended with exit code {state.exit_code} while starting"
            )
        if program.check:
            return await self._check(instance, program) == (0, "")
        return all([await self._accepts(instance, port) for port in self._ports(instance)])

    async def _check(self, instance: Instance, program: Program) -> tuple[int, str]:
        """Exit code of the healthcheck, and what it said if that was not 0."""
        assert program.check  # noqa: S101 - asked before
        check = instance.service.healthcheck
        timeout_s = check.timeout_s if check else _CHECK_TIMEOUT_S
        result = await self._supervisor.run(
            replace(program, argv=program.check), timeout_s, name=instance.name
        )
        return result.code, result.output.strip() if result.code else ""

    async def _accepts(self, instance: Instance, port: int) -> bool:
        with contextlib.suppress(OSError):
            address = self._layout.real(self._layout.instances[instance.name], port)
            _, writer = await asyncio.open_connection(*address)
            writer.close()
            return True
        return False

    def _ports(self, instance: Instance) -> list[int]:
        return sorted({end.link.port for end in self._deployment.ends_into(instance)})

    async def _said(self, instance: Instance, program: Program) -> str:
        if not program.check:
            ports = " and ".join(map(str, self._ports(instance)))
            return f"nothing listens on port {ports}"
        code, output = await self._check(instance, program)
        what = f"its healthcheck `{' '.join(program.check)}` never passed"
        return f"{what}\n  the check says (exit code {code}): {output or 'nothing'}"

    def _not_ready(self, instance: Instance, what: str) -> NotReadyError:
        """The error with the end of the log."""
        log = tail(self._logs[instance.name])
        text = f"{instance.name} ({instance.service.what}) {what}"
        text += f"\n  its last lines of log:\n{log}" if log else "\n  it logged nothing"
        return NotReadyError(text, remedy=f"look into {instance.service.name} in its compose.yaml")


def tail(log: Path) -> str:
    """The last lines of a log, indented."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-_LOG_LINES:])
