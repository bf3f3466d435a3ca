"""Stands in for uvloop in a service's process: its sockets are C's and would not be patched.

A service that asks for uvloop gets asyncio's own event loop, which costs it CPU but no behaviour.
"""

import asyncio
from asyncio import DefaultEventLoopPolicy as EventLoopPolicy
from asyncio import new_event_loop, run

__version__ = "0.0.0"
__all__ = ["EventLoopPolicy", "Loop", "install", "new_event_loop", "run"]

Loop = asyncio.SelectorEventLoop


def install() -> None:
    """Nothing to do: asyncio's loop is there already."""
