"""Every key of an experiment file, told by the loader's own form: for `lab list keys`.

docs/reference/experiment.md is `lab list keys --markdown`; a test holds it there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lab.cli.faults import default_of, what_of
from lab.faults import KINDS
from lab.schema import build_schema

_HEAD = """# The experiment file

Made from the code: `lab list keys --markdown`. Every key, what may stand there, and what holds
when it is left out. Quantities are written with their units (`500ms`, `100/s`, `1%`, `256MiB`).
An unknown key is an error that names the nearest one; the first line of a file can name the
schema, and an editor then completes and checks while you write:

```yaml
# yaml-language-server: $schema=../lab/schema/experiment.json
```

`phase:` is the phase of the curriculum, the ten chapters from the internet to real systems; the
phases of a run are those of its `timeline:`. Claims are written as [these words](claims.md),
faults as [these kinds](faults.md), moments as [these conditions](conditions.md), targets also as
[these facts](targets.md).

What a file cannot say (loops, sweeps, computed values) is said in Python: a file that defines
`experiment()` and returns a `lab.experiment.Experiment` runs like any other, and is checked like
any other: `lab run sweep.py`."""
_SECTIONS = {
    "The file": ("", ""),
    "`load:`": ("LoadForm", "In a design, the keys that stand there replace those of the file."),
    "`load: {requests: [...]}`": (
        "RequestForm",
        (
            "`keys` draws `{key}` in path and body: `zipf(1000)` like visitors of links, rank k "
            "with weight 1/k^1.1, `zipf(1000, 1.3)` with another exponent, `uniform(500)` alike."
        ),
    ),
    "`load: {retry: ...}`": ("RetryForm", "`none`, or these."),
    "`load: {stages: [...]}`": ("StageForm", "As long together as the timeline."),
    "`designs: {name: ...}`": ("DesignForm", ""),
    "A fault's place in time": (
        "fault-refuse",
        "Beside the settings of its kind. Nothing is said: it lasts for the phase called `fault`.",
    ),
}
_OWN = ("link",)
"""Settings of the kind that stands for all in the last table."""


def as_markdown() -> str:
    """The reference page."""
    return "\n".join(_page()) + "\n"


def as_json() -> str:
    """For programs: the schema itself."""
    return json.dumps(build_schema(KINDS), indent=2)


def _page() -> Iterator[str]:
    schema = build_schema(KINDS)
    yield _HEAD
    for title, (name, note) in _SECTIONS.items():
        form = schema["definitions"][name] if name else schema
        yield f"\n## {title}\n"
        if note:
            yield f"{note}\n"
        yield "| key | is | left out | meaning |"
        yield "|---|---|---|---|"
        for key, field in form["properties"].items():
            if key not in _OWN:
                yield _row(key, field, required=key in form.get("required", ()))


def _row(key: str, field: Mapping[str, Any], *, required: bool) -> str:
    default = default_of(field)
    left_out = "must be written" if required else f"`{default}`" if default else "nothing"
    return f"| `{key}` | {_what(field)} | {left_out} | {field.get('description', '')} |"


def _what(field: Mapping[str, Any]) -> str:
    """What may be written there, with an example where the author gave one."""
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "object" or "allOf" in field:
        what = "mapping"
    elif "anyOf" in field:
        what = "a word or a mapping"
    else:
        what = what_of(field)
    if not (examples := field.get("examples")) or "enum" in field:
        return "text" if what == "name" else what
    shown = examples[0] if isinstance(examples[0], str) else json.dumps(examples[0])
    return f"{'text' if what == 'name' else what}, `{shown}`"
