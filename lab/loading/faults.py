"""Reads `faults:` of an experiment: which kind, with which settings, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from lab.experiment import Phase, ScheduledFault
from lab.loading.document import KeyPath
from lab.loading.form import WhenForm
from lab.loading.reader import Reader, known

FaultKinds = Mapping[str, type[BaseModel]]

_DEFAULT_PHASE = "fault"
_WHEN = {field.alias or name: name for name, field in WhenForm.model_fields.items()}
_TOLERANCE_S = 1e-6


@dataclass(frozen=True, slots=True)
class Written:
    """A fault as far as it could be read; `scheduled` or `model` are None after a mistake."""

    path: KeyPath
    name: str
    model: BaseModel | None
    scheduled: ScheduledFault | None


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
    span = _span(reader, inner, data, when, phases) if phases else None
    if not (model and span and whole):
        return Written(inner, name, model, None)
    scheduled = ScheduledFault(fault=model, at_s=span[0], for_s=span[1], name=name)
    return Written(inner, name, model, scheduled)


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


def _span(
    reader: Reader,
    path: KeyPath,
    data: Mapping[str, Any],
    when: Mapping[str, Any],
    phases: tuple[Phase, ...],
) -> tuple[float, float] | None:
    """Start and length on the timeline, in seconds; None, and noted, when they are not there."""
    exact = [key for key in ("at", "for") if key in data]
    if exact and "during" in data:
        message = "`during` takes a whole phase, `at` and `for` say it exactly"
        reader.wrong((*path, "during"), message, "write one or the other", key=True)
    elif len(exact) == 1:
        other = "how long: for: 5s" if exact == ["at"] else "when it starts: at: 8s"
        reader.wrong((*path, exact[0]), f"`{exact[0]}` stands alone", f"add {other}", key=True)
    elif exact:
        if "at" in when and "seconds" in when:
            return _inside(reader, path, when["at"], when["seconds"], phases[-1].end_s)
    else:
        return _phase(reader, path, when.get("during", _DEFAULT_PHASE), phases)
    return None


def _phase(
    reader: Reader, path: KeyPath, name: str, phases: tuple[Phase, ...]
) -> tuple[float, float] | None:
    for phase in phases:
        if phase.name == name:
            return phase.start_s, phase.end_s - phase.start_s
    names = [phase.name for phase in phases]
    if reader.document.has((*path, "during")):
        reader.wrong((*path, "during"), *known(names, name, "phase"))
    else:
        message = f"no phase is called `{_DEFAULT_PHASE}`, so say when this one starts"
        reader.wrong(path, message, f"add during: and one of {', '.join(names)}", key=True)
    return None


def _inside(
    reader: Reader, path: KeyPath, at_s: float, for_s: float, duration_s: float
) -> tuple[float, float] | None:
    if for_s <= 0:
        reader.wrong((*path, "for"), "a fault lasts longer than nothing")
    elif at_s >= duration_s:
        reader.wrong(
            (*path, "at"), f"{at_s:g} s is after the timeline, which ends at {duration_s:g} s"
        )
    elif at_s + for_s > duration_s + _TOLERANCE_S:
        message = f"it would end at {at_s + for_s:g} s, the timeline ends at {duration_s:g} s"
        reader.wrong((*path, "for"), message, f"write at most {duration_s - at_s:g}s")
    else:
        return at_s, for_s
    return None


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
