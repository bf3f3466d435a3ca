"""Readers of other projects' histories, for tests that compare verdicts: Jepsen's logs and EDN.

Each returns client operations, with the line number as time. What their models read otherwise:
a failed compare-and-set of the etcd logs was answered "no", so it is an `ok` one with result False;
a read answered `nil` in Knossos' histories says nothing (its register model takes it as unknown).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.history import ClientOp

_LOG_LINE = re.compile(r"INFO\s+jepsen\.util - (\S+)\s+:(\w+)\s+:(\w+)\s+(.*)")
_EDN_TOKEN = re.compile(r';[^\n]*|"(?:\\.|[^"\\])*"|[\[\]{}()]|[^\s,\[\]{}()";]+')
_END = {"[": "]", "(": ")", "{": "}"}


def read_etcd(path: Path) -> list[ClientOp]:
    """A register history as Jepsen logged it: `INFO  jepsen.util - 2  :invoke  :write  4`."""
    events = []
    for line in path.read_text().splitlines():
        match = _LOG_LINE.match(line)
        if match and match[1].isdigit():
            value = _values(match[4])
            events.append((int(match[1]), match[2], match[3], "", value))
    return list(_paired(events, etcd=True))


def read_maps(path: Path) -> list[ClientOp]:
    """A history of EDN maps, bare or in one list, with or without keys."""
    forms = _values(path.read_text(), whole=True)
    maps = forms[0] if len(forms) == 1 and isinstance(forms[0], tuple) else forms
    events = [
        (one[":process"], one[":type"][1:], one[":f"][1:], one.get(":key", ""), one[":value"])
        for one in maps
        if isinstance(one, dict) and isinstance(one[":process"], int)
    ]
    return list(_paired(events, etcd=False))


def _values(text: str, *, whole: bool = False) -> Any:
    """The first EDN value of a text, or all of them."""
    tokens = (token for token in _EDN_TOKEN.findall(text) if token[0] not in ";#")
    found = tuple(_value(token, tokens) for token in tokens)
    return found if whole else found[0]


def _value(token: str, rest: Iterator[str]) -> Any:
    """One EDN value; lists, vectors and sets become tuples, keywords stay text with their colon."""
    if token in _END:
        items = []
        for inner in rest:
            if inner == _END[token]:
                break
            items.append(_value(inner, rest))
        return dict(zip(items[::2], items[1::2], strict=True)) if token == "{" else tuple(items)
    if token[0] == '"':
        return token[1:-1]
    if token in ("nil", "true", "false"):
        return {"nil": None, "true": True, "false": False}[token]
    return int(token) if re.fullmatch(r"-?\d+", token) else token


def _paired(events: list[tuple[int, str, str, Any, Any]], *, etcd: bool) -> Iterator[ClientOp]:
    """One operation from each invocation and what ended it; without an end it is `info`."""
    pending: dict[int, tuple[int, str, Any, Any]] = {}
    for number, (process, kind, function, key, value) in enumerate(events):
        if kind == "invoke":
            pending[process] = (number, function, key, value)
        elif process in pending:
            yield from _done(process, *pending.pop(process), value, number, kind, etcd=etcd)
    for process, (began, *asked) in pending.items():
        yield ClientOp("", process, *asked, None, began, began, "info")


def _done(
    process: int,
    began: int,
    function: str,
    key: str,
    argument: Any,
    value: Any,
    ended: int,
    kind: str,
    *,
    etcd: bool,
) -> Iterator[ClientOp]:
    """The operation, where its end says anything."""
    result = {"get": value, "read": value, "cas": kind == "ok"}.get(function)
    outcome = "ok" if kind == "fail" and function == "cas" and etcd else kind
    if function == "put":
        function = "write"
    if function in ("get", "read"):
        if kind != "ok" or (value is None and not etcd):
            return
        function, argument = "read", None
    yield ClientOp("", process, function, key, argument, result, began, ended, outcome)
