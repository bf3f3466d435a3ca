"""The JSON Schema of the experiment file, for completion and checks in an editor.

Made from the loader's own form and from the fault kinds that exist, so it cannot fall behind them;
`python -m lab.schema --check` fails when the committed file has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lab.loading.form import ExperimentForm, WhenForm

SCHEMA_FILE = Path(__file__).parent / "experiment.json"

_DRAFT = "http://json-schema.org/draft-07/schema#"
"""What the YAML language server of editors supports in full."""

_REF = "#/definitions/{model}"


def build_schema(fault_kinds: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema of the file, with one form of `faults:` item for each kind."""
    schema = _schema_of(ExperimentForm)
    definitions = schema.pop("definitions")
    when = _schema_of(WhenForm)["properties"]
    kinds: dict[str, Any] = {}
    for kind, model in sorted(fault_kinds.items()):
        definitions[f"fault-{kind}"], inner = _fault(model, when)
        definitions |= inner
        kinds[kind] = {"$ref": _REF.format(model=f"fault-{kind}")}
    schema["properties"]["faults"]["items"] = {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    title = {"$schema": _DRAFT, "title": "Chaos Lab experiment"}
    whole = {**title, **schema, **title, "definitions": definitions}
    tidy: dict[str, Any] = _tidy(whole)
    return tidy


def schema_text(fault_kinds: Mapping[str, type[BaseModel]]) -> str:
    """The schema as it is committed."""
    return json.dumps(build_schema(fault_kinds), indent=2, ensure_ascii=False) + "\n"


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REF)
    schema["definitions"] = schema.pop("$defs", {})
    return schema


def _fault(
    model: type[BaseModel], when: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A kind's settings with the words of the timeline beside them, and what it refers to."""
    schema = _schema_of(model)
    inner = schema.pop("definitions")
    schema["properties"] = {**schema.get("properties", {}), **when}
    return schema, inner


def _tidy(value: Any, *, names: bool = False) -> Any:
    """Drop what draft 7 does not know or no reader needs; `names` marks a mapping of properties."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not names:
        value = _without_null(value)
        if "$ref" in value and len(value) > 1:  # draft 7 ignores everything beside a `$ref`
            reference = {"$ref": value.pop("$ref")}
            value = {"allOf": [reference], **value}
        value.pop("title", None) if value.get("$schema") is None else None
    return {
        key: _tidy(inner, names=key in ("properties", "definitions") and not names)
        if key not in ("default", "examples")
        else inner
        for key, inner in value.items()
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional field is left out of a file, never written as null."""
    schema = dict(schema)
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        del schema["anyOf"]
        schema = {**options[0], **schema}
    elif options:
        schema["anyOf"] = options
    default = schema.get("default", "")
    if default is None:
        del schema["default"]
    elif schema.get("type") == "string" and isinstance(default, float):
        # Of quantities only durations and shares have a default.
        is_share = schema.get("pattern", "").endswith("%$")
        schema["default"] = f"{100 * default:g}%" if is_share else f"{default:g}s"
    return schema
