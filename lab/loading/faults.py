"""Reads `faults:` of an experiment: which kind, with which settings, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from lab.conditions import Condition
from lab.experiment import Phase, ScheduledFault
from lab.loading.document import KeyPath
from lab.loading.form import WhenForm
from lab.loading.reader import Reader, known
from lab.loading.timing import CONDITIONS, Timing

FaultKinds = Mapping[str, type[BaseModel]]

_WHEN = {field.alias or name: name for name, field in WhenForm.model_fields.items()}


@dataclass(frozen=True, slots=True)
class Written:
    """A fault as far as it could be read; `scheduled` or `model` are None after a mistake.

    `conditions` are by their words, `when` and `until`.
    """

    path: KeyPath
    name: str
    model: BaseModel | None
    scheduled: ScheduledFault | None
    conditions: Mapping[str, Condition]


def read_faults(
    reader: Reader, kinds: FaultKinds, phases: tuple[Phase, ...], designs: Mapping[str, Any]
) -> list[Written]:
    """All faults in the order of the file; what is wrong is noted."""
    faults: list[Written] = []
    for index, item in enumerate(reader.items(("faults",))):
        fault = _fault(reader, ("faults", index), item, kinds, phases, [f.name for f in faults])
        if fault:
            _check_name(reader, fault, faults, phases, designs)
            faults.append(fault)
    return faults


def _fault(
    reader: Reader,
    path: KeyPath,
    item: object,
    kinds: FaultKinds,
    phases: tuple[Phase, ...],
    taken: list[str],
) -> Written | None:
    kind = _kind(reader, path, item, kinds)
    if kind is None:
        return None
    inner = (*path, kind)
    before = len(reader.problems)
    data = reader.mapping(inner) if reader.document.at(inner) is not None else {}
    when: dict[str, Any] = {}
    for key in _WHEN.keys() & data.keys():
        if data[key] is None:
            reader.empty((*inner, key))
        else:
            when |= reader.field(WhenForm, _WHEN[key], (*inner, key), data[key])
    name = when.get("name") or _unused(kind, taken)
    settings = {key: value for key, value in data.items() if key not in _WHEN}
    model = reader.model(kinds[kind], inner, settings, also=tuple(_WHEN))
    whole = len(reader.problems) == before
    timing = Timing(reader, inner, data, when, phases)
    conditions = timing.conditions()
    span = timing.span() if phases else None
    if not (model and span and whole and len(conditions) == len(CONDITIONS & data.keys())):
        return Written(inner, name, model, None, conditions)
    scheduled = ScheduledFault(fault=model, name=name, **span, **conditions)
    return Written(inner, name, model, scheduled, conditions)


def _kind(reader: Reader, path: KeyPath, item: object, kinds: FaultKinds) -> str | None:
    """The one key of a list item, when it is the name of a kind."""
    if not isinstance(item, dict) or not item:
        hint = f"write `- {item}: {{…}}`" if str(item) in kinds else "write `- kind: {…}`"
        reader.wrong(path, "a fault is a kind and its settings", hint)
        return None
    found = [key for key in item if key in kinds]
    for key in item:
        if found and key != found[0]:
            message = f"`{key}` stands beside `{found[0]}`, and a fault is one kind"
            hint = "start a new line with `- `" if key in kinds else f"move it under `{found[0]}`"
            reader.wrong((*path, key), message, hint, key=True)
        elif not found:
            reader.wrong((*path, key), *known(list(kinds), key, "fault"), key=True)
            return None
    return str(found[0])


def _unused(kind: str, taken: list[str]) -> str:
    """`latency`, then `latency-2` and so on."""
    number, name = 1, kind
    while name in taken:
        number += 1
        name = f"{kind}-{number}"
    return name


def _check_name(
    reader: Reader,
    fault: Written,
    earlier: list[Written],
    phases: tuple[Phase, ...],
    designs: Mapping[str, Any],
) -> None:
    """A word in a claim means one thing."""
    place = (*fault.path, "name") if reader.document.has((*fault.path, "name")) else fault.path
    spans = {phase.name: (phase.start_s, phase.end_s) for phase in phases}
    if fault.name in {other.name for other in earlier}:
        what = "another fault"
    elif fault.name in designs:
        what = "a design"
    elif fault.scheduled and spans.get(fault.name, (None,)) not in (
        (None,),
        (fault.scheduled.at_s, fault.scheduled.until_s),
    ):
        what = "a phase"
    else:
        return
    hint = "give it a `name:` of its own"
    reader.wrong(place, f"{what} is called `{fault.name}` too", hint, key=place == fault.path)
