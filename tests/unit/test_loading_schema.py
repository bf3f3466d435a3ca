"""The JSON Schema of the experiment file: valid, complete, and of one mind with the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from lab.experiment import Load, Request, Retry, Stage
from lab.faults import KINDS as REAL_KINDS
from lab.loading.form import LoadForm, RequestForm, RetryForm, StageForm
from lab.schema import SCHEMA_FILE, build_schema, schema_text

from .loading_support import FIXTURES, KINDS

SCHEMA = build_schema(KINDS)
SAID_BY_BOTH = (
    "unknown-key", "misspelt-required-key", "missing-keys", "rate-without-unit", "fault-value",
    "fault-misspelt-field", "fault-unknown-kind", "fault-indentation", "retry-unknown-key",
    "keys", "unknown-curriculum-phase", "replicas", "one-design", "timeline-as-list",
)  # fmt: skip


def _read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text("utf-8"))


def test_it_is_a_schema_of_draft_7():
    """Editors support draft 7; there is nothing beside a `$ref`, which draft 7 would ignore."""
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].startswith("http://json-schema.org/draft-07")
    pending = [SCHEMA]
    while pending:
        part = pending.pop()
        assert "$ref" not in part or len(part) == 1
        pending += [v for v in part.values() if isinstance(v, dict)]
        pending += [
            i for v in part.values() if isinstance(v, list) for i in v if isinstance(i, dict)
        ]


def test_good_file_is_valid():
    """What the loader takes, the editor does not underline."""
    good = _read(FIXTURES / "experiments" / "good.yaml")
    assert list(Draft7Validator(SCHEMA).iter_errors(good)) == []


@pytest.mark.parametrize("name", SAID_BY_BOTH)
def test_mistakes_of_form_are_invalid(name: str):
    """Mistakes that a schema can see are seen in the editor too."""
    broken = _read(FIXTURES / "broken" / f"{name}.yaml")
    assert list(Draft7Validator(SCHEMA).iter_errors(broken))


def test_every_word_is_described():
    """Completion without an explanation is half of it."""
    forms = {**SCHEMA["definitions"], "": SCHEMA}
    bare = [
        f"{form}.{word}"
        for form, schema in forms.items()
        for word, said in schema.get("properties", {}).items()
        if "description" not in said and not form.startswith("fault-")
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("form", "model", "own"),
    [
        (LoadForm, Load, set()),
        (RetryForm, Retry, set()),
        (StageForm, Stage, set()),
        (RequestForm, Request, {"get", "post", "put", "delete"}),
    ],
)
def test_form_and_value_have_the_same_words(form: Any, model: Any, own: set[str]):
    """What can be written can be meant: a field of the value is a word of the file."""
    assert set(form.model_fields) - own == set(model.model_fields) - {"method", "path"}


def test_committed_schema_is_up_to_date():
    """`python -m lab.schema --write` was run after the last change of a model."""
    assert SCHEMA_FILE.read_text("utf-8") == schema_text(REAL_KINDS)


def test_defaults_are_written_as_a_file_would():
    """A share of all is `100%`, not a number of seconds."""
    latency = build_schema(REAL_KINDS)["definitions"]["fault-latency"]["properties"]
    assert latency["share"]["default"] == "100%"
    assert latency["jitter"]["default"] == "0s"
