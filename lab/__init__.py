"""Chaos Lab: run system designs side by side, break one thing, and see which design holds.

An experiment is a value; running it on an engine yields a history; checkers turn the history into
a verdict; the report shows why. This package imports nothing heavy, so that parts of it (the load
driver, the network agent) also start inside small containers.
"""

__version__ = "0.1.0"
