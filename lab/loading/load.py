"""Reads `load:` of an experiment, and what a design's own `load:` changes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from lab.experiment import Load, Request, Retry, Stage
from lab.loading.document import KeyPath
from lab.loading.form import LoadForm, RequestForm, RetryForm, StageForm
from lab.loading.reader import Reader, said

_METHODS = ("get", "post", "put", "delete")
_DEFAULT: KeyPath = ("load",)
_SHAPE = frozenset({"loop", "rate", "stages", "users", "requests"})
"""Without these right, nothing can be said about a load as a whole."""

_TOLERANCE_S = 1e-6


def read_load(reader: Reader, path: KeyPath) -> dict[str, Any]:
    """The good keys of one `load:` block; what is wrong is noted."""
    if not reader.document.has(path):
        return {}
    values = reader.fields(LoadForm, path, later=("requests", "stages", "retry"))
    readers: dict[str, Callable[[Reader, KeyPath], Any]] = {
        "requests": _requests, "stages": _stages, "retry": _retry
    }  # fmt: skip
    for key, read in readers.items():
        if reader.document.at((*path, key)) is None:
            continue
        before = len(reader.problems)
        value = read(reader, (*path, key))
        if len(reader.problems) == before:
            values[key] = value
    if values.get("rate") == 0:
        reader.wrong((*path, "rate"), "a rate of nothing measures nothing", "write more than 0/s")
    return values


def effective_load(
    reader: Reader, default: dict[str, Any], own: dict[str, Any], path: KeyPath
) -> Load | None:
    """A design's load: the default with the keys that the design's own block at `path` replaces.

    Another shape displaces the default's: `rate` and `stages` each other, `loop: closed` both of
    them, `loop: open` the `users`. None when a part that it needs is wrong, which is noted.
    """
    displaced = _displaced(own)
    values = {k: v for k, v in default.items() if k not in displaced} | own
    document = reader.document
    blocks = [block for block in (_DEFAULT, path) if document.has(block)]
    written = (set(document.words(_DEFAULT)) - displaced) | set(document.words(path))
    if any(not isinstance(document.at(block), dict) for block in blocks) or any(
        key in _SHAPE and key not in values for key in written
    ):
        return None
    place = path if reader.document.has(path) else _DEFAULT
    if "requests" not in values:
        reader.wrong(place, "the load has no `requests`", "add requests: [{get: /}]", key=True)
        return None
    for key in ("users", "think"):
        if key in values and values.get("loop") != "closed":
            message = f"`{key}` has no effect in an open loop"
            reader.wrong((*place, key), message, "add loop: closed, or delete it", key=True)
    try:
        return Load(**values)
    except ValidationError as error:
        for detail in error.errors():
            reader.wrong(place, *said(detail), key=True)
        return None


def _displaced(own: Mapping[str, Any]) -> set[str]:
    displaced: set[str] = set()
    if "rate" in own:
        displaced.add("stages")
    if "stages" in own:
        displaced.add("rate")
    if own.get("loop") == "closed":
        displaced |= {"rate", "stages"}
    if own.get("loop") == "open":
        displaced |= {"users", "think"}
    return displaced


def check_stages(reader: Reader, load: Load, path: KeyPath, duration_s: float) -> None:
    """Stages are as long together as the timeline, or the load would end early or late."""
    total_s = sum(stage.seconds for stage in load.stages)
    if load.stages and abs(total_s - duration_s) > _TOLERANCE_S:
        message = f"the stages last {total_s:g} s together, the timeline {duration_s:g} s"
        reader.wrong((*path, "stages"), message, "make them the same", key=True)


def stages_path(reader: Reader, own: KeyPath, default: KeyPath) -> KeyPath:
    """Which of the two `load:` blocks the stages of a design come from."""
    return own if reader.document.has((*own, "stages")) else default


def _stages(reader: Reader, path: KeyPath) -> tuple[Stage, ...]:
    stages = []
    for index in range(len(reader.items(path))):
        form = reader.model(StageForm, (*path, index))
        if form and form.seconds <= 0:
            reader.wrong((*path, index, "for"), "a stage lasts longer than nothing")
        elif form:
            stages.append(Stage(**{"rate": form.rate, "to": form.to, "for": form.seconds}))
    return tuple(stages)


def _retry(reader: Reader, path: KeyPath) -> Retry:
    if reader.document.at(path) == "none":
        return Retry()
    if not isinstance(reader.document.at(path), dict):
        reader.wrong(
            path, "this does not say how to retry", "write none, or {attempts: 4, backoff: 100ms}"
        )
        return Retry()
    form = reader.model(RetryForm, path)
    return Retry(**form.model_dump()) if form else Retry()


def _requests(reader: Reader, path: KeyPath) -> tuple[Request, ...]:
    requests: list[Request] = []
    for index in range(len(reader.items(path))):
        inner = (*path, index)
        request = _request(reader, inner)
        if request and request.name in {other.name for other in requests}:
            message = f"there are two requests called `{request.name}`"
            reader.wrong(inner, message, "give each a name of its own with `name:`")
        elif request:
            requests.append(request)
    return tuple(requests)


def _request(reader: Reader, path: KeyPath) -> Request | None:
    before = len(reader.problems)
    values = reader.fields(RequestForm, path)
    written = [m for m in _METHODS if reader.document.has((*path, m))]
    if len(written) != 1 and len(reader.problems) == before:
        said_now = f"not {' and '.join(written)}" if written else "none stands here"
        reader.wrong(path, f"a request has one method, {said_now}", "write {get: /path}")
    if len(written) != 1 or written[0] not in values:
        return None
    method, target = written[0].upper(), values[written[0]]
    _check_target(reader, path, written[0], target)
    _check_key(reader, path, values, target)
    given = {k: values[k] for k in ("weight", "keys", "body", "headers") if k in values}
    name = values.get("name") or f"{method} {target}"
    return Request.model_validate({"name": name, "method": method, "path": target, **given})


def _check_target(reader: Reader, path: KeyPath, method: str, target: str) -> None:
    if not target.startswith("/") or any(c.isspace() or not c.isprintable() for c in target):
        message = f"`{target}` is not a path: it starts with / and holds no spaces"
        reader.wrong((*path, method), message)


def _check_key(reader: Reader, path: KeyPath, values: dict[str, Any], target: str) -> None:
    """`{key}` and `keys:` belong together."""
    filled = (target, values.get("body") or "", *values.get("headers", {}).values())
    placed = any("{key}" in text for text in filled)
    has_keys = reader.document.has((*path, "keys"))
    if placed and not has_keys:
        reader.wrong(path, "`{key}` is never filled in", "add keys: zipf(1000)")
    elif has_keys and not placed:
        message = "`keys` has no effect: no {key} in path, body or headers"
        reader.wrong((*path, "keys"), message, key=True)
