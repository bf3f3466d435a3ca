"""Commands of the kernel's tools, run beside the orders."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence


class OrderError(Exception):
    """An order that cannot be carried out; its text goes back."""


async def run(command: Sequence[str], text: str = "") -> str:
    """Output of a command; in a thread, so that a probe's timing does not suffer."""
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, input=text, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise OrderError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        why = done.stderr.strip() or f"exit code {done.returncode}"
        raise OrderError(f"{command[0]}: {why}")
    return done.stdout
