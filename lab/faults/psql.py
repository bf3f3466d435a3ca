"""PostgreSQL from inside its own container or process: past every link and every fault on one.

The server's own `psql` is used, so no driver and no open port is needed. Inside the image's
container it comes in by the Unix socket, which the image trusts.
"""

from __future__ import annotations

from lab.engines import Cluster, Ended, Executable, Session
from lab.errors import InjectionError
from lab.faults.commands import in_a_line, run
from lab.plan import Instance


def psql(instance: Instance, database: str | None = None, name: str = "chaos-lab") -> list[str]:
    """The command: reads statements from its input, ends at the first error; values as they are."""
    environment = instance.service.environment
    user = environment.get("POSTGRES_USER", "postgres")
    database = database or environment.get("POSTGRES_DB", user)
    where = f"user={user} dbname={database} application_name={name} connect_timeout=5"
    return ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d", where]


async def connect(
    cluster: Cluster, instance: Instance, database: str | None, name: str = "chaos-lab"
) -> Session:
    """A session that is connected, or about to be, and waits for statements."""
    assert isinstance(cluster, Executable)  # noqa: S101 - `needs` was checked before
    return await cluster.execute(instance, psql(instance, database, name))


def written(statements: str) -> str:
    """Statements as psql reads them, the last one ended."""
    return f"{statements.strip().rstrip(';')};\n"


async def ask(
    cluster: Cluster, instance: Instance, query: str, within_s: float, database: str | None = None
) -> str:
    """What a query returns: rows in lines, columns between bars.

    Raises:
        EngineError: it did not end in time.
        InjectionError: the server refused it, or does not answer.
    """
    command = [*psql(instance, database), "-c", query]
    return succeeded(await run(cluster, instance, command, within_s), query, instance)


def succeeded(ended: Ended, statements: str, instance: Instance) -> str:
    """What it returned.

    Raises:
        InjectionError: the server refused it.
    """
    if ended.code:
        raise InjectionError(
            f"`{in_a_line(statements)}` failed in {instance.name}: {in_a_line(ended.output)}"
        )
    return ended.output.strip()
