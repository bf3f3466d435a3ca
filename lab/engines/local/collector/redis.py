"""Redis' and Valkey's INFO, under the names of redis_exporter 1.69."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.engines.local.collector.redis_names import GAUGES_OF_CONFIG, NAMES, OF_MASTER, TEXTS
from lab.engines.local.collector.target import Target
from lab.engines.local.collector.text import line

_CONFIG = "databases maxclients maxmemory io-threads client-output-buffer-limit"
_ASK = (
    f"INFO ALL\r\nCONFIG GET {_CONFIG}\r\nSLOWLOG LEN\r\nSLOWLOG GET 1\r\nLATENCY HISTOGRAM\r\n"
).encode()
_REPLIES = 5
_IDENTITY = [
    "role",
    "redis_version",
    "redis_build_id",
    "redis_mode",
    "os",
    "maxmemory_policy",
    "tcp_port",
    "run_id",
    "process_id",
    "master_replid",
]
_BUFFER_CLASSES = 4  # words for each class of client in client-output-buffer-limit


class RedisError(Exception):
    """The server refuses."""


class RedisSource:
    """One Redis or Valkey server."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def read(self) -> bytes:
        """All of it as text.

        Raises:
            OSError, EOFError: no connection, or it broke.
            RedisError: the server refuses, or wants a password.
        """
        reader, writer = self._streams or await self._connect()
        writer.write(_ASK)
        replies = [await _reply(reader) for _ in range(_REPLIES)]
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return "\n".join(_lines(*replies)).encode() + b"\n"

    def close(self) -> None:
        """Let go of the connection at once."""
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target = self._target
        reader, writer = self._streams = await asyncio.open_connection(target.host, target.port)
        if target.password:
            words = [w for w in ("AUTH", target.user, target.password) if w]
            parts = "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in words)
            writer.write(f"*{len(words)}\r\n{parts}".encode())
            reply = await _reply(reader)
            if isinstance(reply, RedisError):
                raise reply
        return reader, writer


async def _reply(reader: asyncio.StreamReader) -> Any:
    """One reply of the server (RESP 2); an error is returned, not raised."""
    head = await reader.readuntil(b"\r\n")
    kind, rest = head[:1], head[1:-2].decode()
    match kind:
        case b"+":
            return rest
        case b"-":
            return RedisError(rest)
        case b":":
            return int(rest)
        case b"$":
            if rest == "-1":
                return None
            return (await reader.readexactly(int(rest) + 2))[:-2].decode(errors="replace")
        case b"*":
            return [await _reply(reader) for _ in range(int(rest))]
    raise RedisError(f"this is no Redis: {head[:40]!r}")


def _lines(
    info: str, config: Sequence[str], slow: int, slowest: Sequence[Any], histograms: Sequence[Any]
) -> Iterator[str]:
    fields = dict(row.split(":", 1) for row in info.split("\r\n") if ":" in row and row[0] != "#")
    settings = dict(zip(config[::2], config[1::2], strict=True))
    yield "redis_up 1"
    yield from _plain(fields)
    yield from _identity(fields)
    yield from _databases(fields, int(settings.get("databases", "16")))
    yield from _replicas(fields)
    yield from _commands(fields, dict(zip(histograms[::2], histograms[1::2], strict=True)))
    yield from _settings(settings)
    yield f"redis_slowlog_length {slow}"
    yield f"redis_slowlog_last_id {slowest[0][0] if slowest else 0}"
    seconds = slowest[0][2] / 1e6 if slowest else 0
    yield f"redis_last_slow_execution_duration_seconds {seconds}"


def _plain(fields: Mapping[str, str]) -> Iterator[str]:
    for field, text in fields.items():
        name = NAMES.get(field)
        if name is not None:
            with contextlib.suppress(ValueError):
                yield f"redis_{name} {TEXTS[text] if text in TEXTS else float(text)}"
    yield f"redis_latest_fork_seconds {int(fields.get('latest_fork_usec', 0)) / 1e6}"
    started_unix_s = int(time.time()) - int(fields["uptime_in_seconds"])
    yield f"redis_start_time_seconds {started_unix_s}"


def _identity(fields: Mapping[str, str]) -> Iterator[str]:
    labels = {key: fields.get(key, "") for key in _IDENTITY}
    yield line("redis_instance_info", labels, 1)
    if fields.get("role") == "slave":
        master = {key: fields.get(key, "") for key in ("master_host", "master_port")}
        read_only = fields.get("slave_read_only", "")
        yield line("redis_slave_info", {**master, "read_only": read_only}, 1)
        up = fields.get("master_link_status") == "up"
        yield line("redis_master_link_up", master, float(up))
        for field, name in OF_MASTER.items():
            if field in fields:
                yield line(f"redis_{name}", master, float(fields[field]))


def _databases(fields: Mapping[str, str], count: int) -> Iterator[str]:
    for number in range(count):
        labels = {"db": f"db{number}"}
        said = _pairs(fields.get(labels["db"], "keys=0,expires=0"))
        yield line("redis_db_keys", labels, float(said["keys"]))
        yield line("redis_db_keys_expiring", labels, float(said["expires"]))
        if "avg_ttl" in said:
            yield line("redis_db_avg_ttl_seconds", labels, float(said["avg_ttl"]) / 1000)


def _replicas(fields: Mapping[str, str]) -> Iterator[str]:
    for number in range(int(fields.get("connected_slaves", "0"))):
        said = _pairs(fields.get(f"slave{number}", ""))
        if "offset" in said:
            labels = {f"slave_{key}": said.get(key, "") for key in ("ip", "port", "state")}
            yield line("redis_connected_slave_offset_bytes", labels, float(said["offset"]))
            yield line("redis_connected_slave_lag_seconds", labels, float(said.get("lag", 0)))


def _commands(fields: Mapping[str, str], histograms: Mapping[str, Any]) -> Iterator[str]:
    for field, text in fields.items():
        if field.startswith("cmdstat_"):
            labels = {"cmd": field.removeprefix("cmdstat_")}
            said = _pairs(text)
            calls, usec = said["calls"], said["usec"]
            yield line("redis_commands_total", labels, float(calls))
            yield line("redis_commands_duration_seconds_total", labels, float(usec) / 1e6)
            for outcome in ("rejected_calls", "failed_calls"):
                if outcome in said:
                    name = f"redis_commands_{outcome}_total"
                    yield line(name, labels, float(said[outcome]))
            percentiles = _pairs(fields.get(f"latency_percentiles_usec_{labels['cmd']}", ""))
            yield from _percentiles(labels, percentiles, calls, usec)
            yield from _histogram(labels, histograms.get(labels["cmd"], ()), usec)
        elif field.startswith("errorstat_"):
            labels = {"err": field.removeprefix("errorstat_")}
            yield line("redis_errors_total", labels, float(_pairs(text)["count"]))


def _percentiles(
    labels: Mapping[str, str], percentiles: Mapping[str, str], calls: str, usec: str
) -> Iterator[str]:
    name = "redis_latency_percentiles_usec"
    for key, text in percentiles.items():
        yield line(name, {**labels, "quantile": key.removeprefix("p")}, float(text))
    if percentiles:
        yield line(f"{name}_sum", labels, float(usec))
        yield line(f"{name}_count", labels, float(calls))


def _histogram(labels: Mapping[str, str], said: Sequence[Any], usec: str) -> Iterator[str]:
    if len(said) != 4:
        return
    name = "redis_commands_latencies_usec"
    calls, buckets = said[1], said[3]
    for bound, count in zip(buckets[::2], buckets[1::2], strict=True):
        yield line(f"{name}_bucket", {**labels, "le": str(bound)}, count)
    yield line(f"{name}_bucket", {**labels, "le": "+Inf"}, calls)
    yield line(f"{name}_sum", labels, float(usec))
    yield line(f"{name}_count", labels, calls)


def _settings(settings: Mapping[str, str]) -> Iterator[str]:
    for setting, name in GAUGES_OF_CONFIG.items():
        if setting in settings:
            yield f"redis_{name} {float(settings[setting])}"
    words = settings.get("client-output-buffer-limit", "").split()
    name = "redis_config_client_output_buffer_limit"
    for at in range(0, len(words), _BUFFER_CLASSES):
        client, hard, soft, seconds = words[at : at + _BUFFER_CLASSES]
        yield line(f"{name}_bytes", {"class": client, "limit": "hard"}, float(hard))
        yield line(f"{name}_bytes", {"class": client, "limit": "soft"}, float(soft))
        labels = {"class": client, "limit": "soft"}
        yield line(f"{name}_overcome_seconds", labels, float(seconds))


def _pairs(text: str) -> dict[str, str]:
    """`a=1,b=2` as a mapping."""
    return dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)
