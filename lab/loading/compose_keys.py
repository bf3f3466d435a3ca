"""Which keys of Compose the lab honours, and what to do about the others; nothing is ignored.

The Compose specification's own JSON Schema (as shipped with check-jsonschema) says what a Compose
file may hold at all; `HONOURED` says what of it has an effect here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from lab.loading.document import KeyPath
from lab.loading.hints import did_you_mean
from lab.loading.reader import Reader

Tree = Mapping[str, "Tree | None"]
"""Keys, and below each either more keys or None: anything the Compose schema allows there."""

SERVICE: Tree = {
    "image": None,
    "build": {"context": None, "dockerfile": None, "args": None},
    "command": None,
    "entrypoint": None,
    "environment": None,
    "healthcheck": dict.fromkeys(
        ("test", "interval", "timeout", "retries", "start_period", "disable")
    ),
    "depends_on": None,
    "volumes": None,
    "tmpfs": None,
    "deploy": {"replicas": None, "resources": {"limits": {"cpus": None, "memory": None}}},
    "cpus": None,
    "mem_limit": None,
    "user": None,
    "working_dir": None,
    "stop_signal": None,
    "restart": None,
    "init": None,
    "sysctls": None,
    "ulimits": None,
    # Without an effect in Compose too: every port is open inside the network, labels are notes.
    "expose": None,
    "labels": None,
}
VOLUME: Tree = {"driver": None, "driver_opts": dict.fromkeys(("type", "device", "o"))}
TOP: Tree = {"name": None, "services": None, "volumes": None}

_BY_DESIGN = "write the values here; a design sets its own with `env:`"
_NETWORK = "delete it: every design has a network of its own, with a proxy on every link"
_FILES = "mount the file with `volumes: [./file:/target:ro]`"
_ADVICE = {
    "ports": "the lab publishes nothing; say where load arrives with x-lab.entry",
    "networks": _NETWORK,
    "network_mode": _NETWORK,
    "extra_hosts": "delete it: the lab needs the hosts file for the links",
    "links": "say it with x-lab.links, like app -> db:5432",
    "external_links": "say it with x-lab.links, like app -> db:5432",
    "dns": _NETWORK,
    "hostname": "delete it: a service is known by its name",
    "container_name": "delete it: names would clash between designs",
    "env_file": _BY_DESIGN,
    "configs": _FILES,
    "secrets": _FILES,
    "profiles": "write a variant of the topology: compose.<variant>.yaml",
    "extends": "write the service out, or use a YAML anchor",
    "include": "write the services out",
    "scale": "write deploy: {replicas: 2}",
    "start_interval": "delete it: the lab checks often while a service starts",
    "privileged": "delete it: faults need nothing from the services",
    "cap_add": "delete it: services run with Docker's default capabilities",
    "reservations": "delete it, or write it as `limits`",
    "memswap_limit": "delete it: a service gets no swap beyond its memory limit",
    "stop_grace_period": "delete it: services are stopped at once after the final reads",
    "logging": "delete it: the lab keeps the logs under runs/",
    "version": "delete it: Compose itself calls it obsolete",
    "pull_policy": "delete it: images are pulled, or built from topologies/images",
    "dockerfile_inline": "write it into a Dockerfile",
    "target": "write a Dockerfile that ends with that stage",
    "external": "delete it: every run starts with empty volumes",
}
_OTHERWISE = "delete it, or open an issue that says what you need it for"
_VARIABLE = re.compile(r"\$(\$|\{[^}]*\}?|[A-Za-z_]\w*|)")


def check_keys(reader: Reader, path: KeyPath, tree: Tree) -> None:
    """Note every key below a path that the lab does not honour."""
    data = reader.document.at(path)
    if not isinstance(data, dict):
        return
    for key in data:
        inner = (*path, key)
        if key == "x-lab" and path:
            reader.wrong(inner, "`x-lab` stands at the top of the file", "move it there", key=True)
        elif key.startswith("x-"):
            continue
        elif key not in tree:
            _not_honoured(reader, inner, tree)
        elif (below := tree[key]) is not None:
            check_keys(reader, inner, below)


def _not_honoured(reader: Reader, path: KeyPath, tree: Tree) -> None:
    key = str(path[-1])
    if key in _ADVICE or key in _compose_words():
        message = f"the lab does not honour `{key}` of Compose"
        reader.wrong(path, message, _ADVICE.get(key, _OTHERWISE), key=True)
    else:
        reader.wrong(path, f"unknown key `{key}`", did_you_mean(key, tree), key=True)


def check_variables(reader: Reader, value: Any, path: KeyPath = ()) -> Any:
    """Refuse Compose's variables by name; the value with `$$` written as `$`."""
    if isinstance(value, dict):
        return {key: check_variables(reader, inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [check_variables(reader, inner, (*path, i)) for i, inner in enumerate(value)]
    if not isinstance(value, str):
        return value
    for match in _VARIABLE.finditer(value):
        if match[1] == "$":
            continue
        if match[1]:
            reader.wrong(path, f"the lab fills in no variables: `{match[0]}`", _BY_DESIGN)
        else:
            reader.wrong(path, "a single `$` starts a variable in Compose", "write `$$`")
    return value.replace("$$", "$")


def check_schema(reader: Reader) -> None:
    """Note where the file breaks the Compose specification, unless that place is noted already."""
    document = reader.document
    noted = {(p.line, p.column) for p in reader.problems}
    for error in _validator().iter_errors(document.typed):
        for leaf in _leaves(error):
            path: KeyPath = tuple(leaf.absolute_path)
            spots = [document.spot(path[:end], key=key) for end in range(1, len(path) + 1)
                     for key in (True, False)]  # fmt: skip
            if leaf.validator in ("additionalProperties", "unevaluatedProperties"):
                continue  # `check_keys` has said it, and better
            if not any((spot.line, spot.column) in noted for spot in spots):
                reader.wrong(path, *_said(leaf))


@cache
def _schema() -> dict[str, Any]:
    # Read as a file: importing check_jsonschema would load its whole command line, 0.2 s of it.
    package = find_spec("check_jsonschema")
    assert package is not None  # noqa: S101 - a dependency of ours
    assert package.origin is not None  # noqa: S101
    schemas = Path(package.origin).parent / "builtin_schemas" / "vendor"
    return json.loads((schemas / "compose-spec.json").read_text())  # type: ignore[no-any-return]


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_schema())


@cache
def _compose_words() -> frozenset[str]:
    """Every key that occurs anywhere in the Compose schema."""
    return frozenset(_words(_schema()))


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from _words(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _words(value)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """The mistakes inside `oneOf` and the like that say most: those deepest in the file."""
    deeper = [e for e in _context(error) if len(e.absolute_path) > len(error.absolute_path)]
    if not deeper:
        yield error
        return
    for inner in deeper:
        yield from _leaves(inner)


def _context(error: ValidationError) -> list[ValidationError]:
    return list(error.context) if error.context else []


def _said(error: ValidationError) -> tuple[str, str]:
    key = next((str(step) for step in reversed(error.absolute_path) if isinstance(step, str)), "")
    subject = f"`{key}`" if key else "the file"
    match error.validator:
        case "type":
            return f"{subject} must be {_kinds([error])}", ""
        case "oneOf" | "anyOf":
            return f"{subject} must be {_kinds(_context(error))}", ""
        case "enum" if isinstance(error.validator_value, list):
            hint = did_you_mean(str(error.instance), map(str, error.validator_value))
            return f"`{error.instance}` is not known here", hint
        case "required":
            return f"{subject} lacks a key: {error.message}", ""
        case "uniqueItems":
            return f"{subject} holds the same thing twice", "delete one"
        case _:
            return f"{subject} does not fit the Compose specification: {error.message[:120]}", ""


_KINDS = {
    "string": "a text",
    "object": "a mapping",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "empty",
}


def _kinds(errors: list[ValidationError]) -> str:
    """`a text or a list`, from the types that were expected."""
    kinds: list[str] = []
    for error in errors:
        if error.validator == "type":
            wanted = error.validator_value
            kinds += [wanted] if isinstance(wanted, str) else [str(kind) for kind in wanted]  # type: ignore[union-attr]
    return " or ".join(dict.fromkeys(_KINDS[kind] for kind in kinds)) or "of another form"
