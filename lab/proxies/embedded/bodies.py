"""Request bodies, as strict as Toxiproxy's: a wrong type is an error, an unknown key is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab.proxies import Stream, Toxic
from lab.proxies.embedded.stages import KINDS

_NAMES = {
    str: "string",
    bool: "bool",
    list: "array",
    dict: "object",
    int: "int64",
    float: "float32",
}


class ApiError(Exception):
    """An answer that is a refusal."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def bad(why: str) -> ApiError:
    """The body is not what it should be."""
    return ApiError(f"bad request body: {why}", 400)


def missing(what: str) -> ApiError:
    """A field must be there and is not."""
    return ApiError(f"missing required field: {what}", 400)


def parsed(raw: bytes) -> Any:
    """The JSON in a body."""
    if not raw.strip():
        raise bad("EOF")
    try:
        return json.loads(raw)
    except ValueError as error:
        raise bad(str(error)) from None


def an_object(raw: bytes) -> Mapping[str, Any]:
    """The JSON object in a body."""
    found = parsed(raw)
    if not isinstance(found, dict):
        raise bad(f"{type(found).__name__} instead of an object")
    return found


def field(body: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """A field of that type, the default when it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    right = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not right or (isinstance(value, bool) and kind is not bool):
        raise bad(f"{name}: cannot use {json.dumps(value)} as {_NAMES[kind]}")
    return value


def attributes(kind: str, body: Mapping[str, Any], now: Mapping[str, int]) -> dict[str, int]:
    """The attributes of a toxic of that kind; those that are not given stay as they are."""
    given = field(body, "attributes", dict, {})
    _, names = KINDS[kind]
    return {name: field(given, name, int, now.get(name, 0)) for name in names}


def toxic(body: Mapping[str, Any]) -> Toxic:
    """A new toxic; without a name it is called by its kind and stream."""
    kind = field(body, "type", str, "")
    stream = field(body, "stream", str, "downstream")
    toxicity = float(field(body, "toxicity", float, 1.0))
    if stream.lower() not in {"upstream", "downstream"}:
        raise ApiError("stream was invalid, can be either upstream or downstream", 400)
    if kind not in KINDS:
        raise ApiError("invalid toxic type", 400)
    name = field(body, "name", str, "") or f"{kind}_{stream}"
    direction: Stream = "upstream" if stream.lower() == "upstream" else "downstream"
    return Toxic(name, kind, direction, attributes(kind, body, {}), toxicity)


def changed(old: Toxic, body: Mapping[str, Any]) -> Toxic:
    """That toxic with other attributes, or another toxicity."""
    toxicity = float(field(body, "toxicity", float, old.toxicity))
    new = attributes(old.kind, body, old.attributes)
    return Toxic(old.name, old.kind, old.stream, new, toxicity)


def toxic_json(toxic: Toxic) -> dict[str, Any]:
    """A toxic as the API shows it."""
    return {
        "attributes": dict(toxic.attributes),
        "name": toxic.name,
        "type": toxic.kind,
        "stream": toxic.stream,
        "toxicity": toxic.toxicity,
    }
