"""Commands that faults run inside instances: on time, to their end, with what they said."""

from __future__ import annotations

from collections.abc import Sequence

from lab.engines import Cluster, Ended, Executable, Session
from lab.errors import EngineError, InjectionError
from lab.plan import Instance

_WAIT = 'read -r go && exec "$@" </dev/null'
"""A shell that becomes the command when it is told to: that takes a millisecond, starting 90."""
_SAID_CHARACTERS = 200


def in_a_line(text: str) -> str:
    """What a command said, for a sentence: one line, its end when it is long."""
    line = " ".join(text.split())
    return line if len(line) <= _SAID_CHARACTERS else f"… {line[-_SAID_CHARACTERS:]}"


async def run(
    cluster: Cluster,
    instance: Instance,
    command: Sequence[str],
    within_s: float,
    user: str | None = None,
) -> Ended:
    """Run a command to its end.

    Raises:
        EngineError: it did not start, or did not end in time.
    """
    assert isinstance(cluster, Executable)  # noqa: S101 - `needs` was checked before
    session = await cluster.execute(instance, command, user)
    return await session.ended(within_s)


async def waiting(
    cluster: Cluster, instance: Instance, command: Sequence[str], user: str | None = None
) -> Session:
    """A command that is all but started: a line written to it lets it go."""
    assert isinstance(cluster, Executable)  # noqa: S101 - `needs` was checked before
    return await cluster.execute(instance, ["sh", "-c", _WAIT, "lab", *command], user)


class Ready:
    """Sessions that were opened before their time, by instance."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def keep(self, instance: Instance, session: Session) -> None:
        """This one is for that instance."""
        self._sessions[instance.name] = session

    def holds(self, instance: Instance) -> bool:
        """Whether there is one for that instance."""
        return instance.name in self._sessions

    async def take(self, instance: Instance, first: str) -> Session | None:
        """The one of an instance, after its first line was written; None when it has ended."""
        session = self._sessions.pop(instance.name, None)
        if session is None:
            return None
        try:
            await session.write(first)
        except EngineError:  # its instance was started anew meanwhile
            await session.close()
            return None
        return session

    async def close(self) -> None:
        """Let go of all that were not taken."""
        while self._sessions:
            _, session = self._sessions.popitem()
            await session.close()


def must_succeed(ended: Ended, command: Sequence[str], instance: Instance) -> Ended:
    """The same, when its exit code is 0.

    Raises:
        InjectionError: with what it said instead.
    """
    if ended.code:
        raise InjectionError(
            f"`{' '.join(command)}` in {instance.name} failed with exit code {ended.code}: "
            f"{in_a_line(ended.output) or 'it said nothing'}"
        )
    return ended
