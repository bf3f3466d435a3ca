"""What fault kinds there are, told by the code itself: for `lab list faults` and the reference.

docs/reference/faults.md is `lab list faults --markdown`; a test holds it there.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lab.faults import KINDS, Fault
from lab.loading.form import WhenForm
from lab.schema import build_schema

_PATTERNS = {
    "B/s( to": "bytes per second, or a ramp",
    " to ": "duration, or a ramp",
    "B/s$": "bytes per second",
    "us|ms": "duration",
    "/(s|m|h)": "rate",
    "%$": "share",
    "i?)?B": "size",
}
"""How the schema's patterns tell quantities apart."""
_HEAD = """# Faults

Made from the code: `lab list faults --markdown`. Every kind is written under `faults:` of an
experiment, takes `during: PHASE` (default: the phase called `fault`) or `at:` and `for:`, or starts
`when:` and ends `until:` something happens ([conditions](conditions.md)), and has a `name:` that
claims can refer to. Each is looked at before, during and after: one that did not bite
makes the run *unknown*, one that does not come off ends it with exit code 5. Where an engine lacks
the ability, the run is refused before any load.

Whom a fault breaks may be a name or whoever it is then: see [targets](targets.md).

A *ramp* is a value that changes steadily: `delay: 0ms to 500ms` over the whole time of the fault,
`0ms to 500ms over 10s` for so long, and then it stays. It is measured at its beginning, in its
middle and at its end. A toxic that is changed lets go at once of what it holds back, so a delay is
made of up to ten small ones (a chunk that is under way at a step comes early by one at most), and a
rate of ten lines that take over from each other.

*Together*: several faults may be on one link. Those made of bytes held back or counted act one
after the other, and their order matters: a delay in front of a narrow line adds to the time in it,
behind it that time counts as delay. They act in the order of the file when they start in the same
moment, and a later one after those that are there; on Docker the second of a moment is 10 ms late,
the third 20. Two latencies add up, and each is proved with the other deducted. Two of another kind
on one link at a time, where healing one would heal the other, are refused. Each heals alone."""
_TIMING = tuple(field.alias or name for name, field in WhenForm.model_fields.items())


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a kind; `default` is "" where it must be written, or may be left out."""

    name: str
    what: str
    default: str
    description: str
    required: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault kind; `proof` is what a look at it measures."""

    name: str
    summary: str
    settings: tuple[Setting, ...]
    proof: str
    heal: str
    engines: tuple[str, ...]
    example: str


def kinds() -> list[Kind]:
    """Every kind, by name."""
    definitions = build_schema(KINDS)["definitions"]
    return [_kind(kind, definitions[f"fault-{name}"]) for name, kind in sorted(KINDS.items())]


def as_json() -> str:
    """For programs."""
    return json.dumps([asdict(kind) for kind in kinds()], indent=2)


def as_markdown() -> str:
    """The reference page."""
    return "\n".join(_page()) + "\n"


def _kind(kind: type[Fault], schema: Mapping[str, Any]) -> Kind:
    required = schema.get("required", ())
    settings = tuple(
        Setting(
            name, what_of(field), default_of(field), field.get("description", ""), name in required
        )
        for name, field in schema["properties"].items()
        if name not in _TIMING
    )
    return Kind(
        name=kind.kind,
        summary=_first_paragraph(inspect.getdoc(kind) or ""),
        settings=settings,
        proof=_first_paragraph(inspect.getdoc(kind.observe) or ""),
        heal=_first_paragraph(inspect.getdoc(kind.heal) or ""),
        engines=engines_with(kind.needs),
        example=_example(kind.kind, schema),
    )


def engines_with(needs: tuple[type, ...]) -> tuple[str, ...]:
    """The engines whose clusters have these abilities."""
    from lab.engines.docker.cluster import DockerCluster
    from lab.engines.local.cluster import LocalCluster

    clusters = {"docker": DockerCluster, "local": LocalCluster}
    return tuple(
        name
        for name, cluster in clusters.items()
        if all(issubclass(cluster, need) for need in needs)
    )


def _first_paragraph(doc: str) -> str:
    """What a docstring says before its first empty line, on one line."""
    return " ".join(doc.partition("\n\n")[0].split())


def what_of(field: Mapping[str, Any]) -> str:
    """What may be written there: `duration`, `share`, one of some words."""
    if "allOf" in field:
        return "mapping"
    if "enum" in field:
        return " or ".join(f"`{word}`" for word in field["enum"])
    pattern = field.get("pattern", "")
    for mark, what in _PATTERNS.items():
        if mark in pattern:
            return what
    return {
        "array": "list",
        "boolean": "`true` or `false`",
        "integer": "number",
        "number": "number",
    }.get(field.get("type", ""), "name")


def default_of(field: Mapping[str, Any]) -> str:
    """What holds when it is left out, as it would be written; "" where there is nothing."""
    if "default" not in field:
        return ""
    default = field["default"]
    return json.dumps(default) if isinstance(default, bool | list) else str(default)


def _example(name: str, schema: Mapping[str, Any]) -> str:
    """The kind's own example, or the first one of everything that must be written."""
    required = [key for key in schema["properties"] if key in schema.get("required", ())]
    given = {key: schema["properties"][key].get("examples", ["…"])[0] for key in required}
    given = schema.get("examples", [given])[0]
    inner = ", ".join(f"{key}: {_written(value)}" for key, value in given.items())
    return f"- {name}: {{{inner}}}"


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in value.items()) + "}"
    return str(value)


def _page() -> Iterator[str]:
    yield _HEAD
    for kind in kinds():
        yield ""
        yield f"## `{kind.name}`"
        yield ""
        yield kind.summary
        yield ""
        yield "```yaml"
        yield kind.example
        yield "```"
        yield ""
        yield "| setting | is | default | meaning |"
        yield "|---|---|---|---|"
        for one in kind.settings:
            left_out = "must be written" if one.required else "nothing"
            default = f"`{one.default}`" if one.default else left_out
            yield f"| `{one.name}` | {one.what} | {default} | {one.description} |"
        yield ""
        yield f"*Proof*: {kind.proof} *Healing*: {kind.heal} *Engines*: {', '.join(kind.engines)}."
