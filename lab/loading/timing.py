"""Reads when a fault is on: its place on the timeline, and the conditions it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.conditions import Condition, parse_condition
from lab.experiment import Phase
from lab.loading.document import KeyPath
from lab.loading.reader import Reader, known

DEFAULT_PHASE = "fault"
CONDITIONS = frozenset({"when", "until"})

_TOLERANCE_S = 1e-6


class Timing:
    """The words of one fault about its time; `written` as they stand there, `read` as values."""

    def __init__(
        self,
        reader: Reader,
        path: KeyPath,
        written: Mapping[str, Any],
        read: Mapping[str, Any],
        phases: tuple[Phase, ...],
    ) -> None:
        self._reader, self._path, self._phases = reader, path, phases
        self._written, self._read = written, read

    def conditions(self) -> dict[str, Condition]:
        """`when` and `until`, as far as they can be read."""
        found = {}
        for key in CONDITIONS:
            if key in self._read:
                try:
                    found[key] = parse_condition(self._read[key])
                except ValueError as error:
                    self._reader.unfit((*self._path, key), error)
        return found

    def span(self) -> dict[str, float] | None:
        """Fields of `ScheduledFault`; None, and noted, when they are not there."""
        if not self._fits():
            return None
        if "at" in self._written:
            return self._from(self._read["at"]) if "at" in self._read else None
        phase = self._phase()
        return self._in(phase) if phase else None

    def _fits(self) -> bool:
        """Whether the words go together."""
        written, wrong = self._written, self._wrong
        exact = [key for key in ("at", "for") if key in written]
        if "at" in written and "when" in written:
            wrong("when", "`at` and `when` both say when it starts", "write one or the other")
        elif "within" in written and "when" not in written:
            wrong("within", "`within` says how long `when` may take, and there is none")
        elif "at" in written and "until" in written and "for" not in written:
            wrong("until", "`until` may never come true", "add how long at most: for: 10s")
        elif exact and "during" in written and (exact[0] == "at" or not self._waits):
            message = "`during` takes a whole phase, `at` and `for` say it exactly"
            wrong("during", message, "write one or the other")
        elif exact == ["at"] or (exact == ["for"] and not self._waits):
            other = "how long: for: 5s" if exact == ["at"] else "when it starts: at: 8s"
            wrong(exact[0], f"`{exact[0]}` stands alone", f"add {other}")
        else:
            return True
        return False

    @property
    def _waits(self) -> bool:
        return any(key in self._written for key in CONDITIONS)

    def _from(self, at_s: float) -> dict[str, float] | None:
        """From a moment on, for a while."""
        end_s = self._phases[-1].end_s
        if at_s >= end_s:
            message = f"{at_s:g} s is after the timeline, which ends at {end_s:g} s"
            self._wrong("at", message, f"write less than {end_s:g}s", key=False)
            return None
        for_s = self._for(at_s, 0.0)
        return None if for_s is None else {"at_s": at_s, "for_s": for_s}

    def _in(self, phase: Phase) -> dict[str, float] | None:
        """In a phase: all of it, or from and until what happens in it."""
        at_s, phase_s = phase.start_s, phase.end_s - phase.start_s
        span = {"at_s": at_s, "for_s": phase_s}
        if "when" in self._written:
            span["within_s"] = within_s = self._read.get("within", phase_s)
            if not 0 < within_s <= phase_s:
                message = f"`when` is looked at in `{phase.name}`, which lasts {phase_s:g} s"
                self._wrong("within", message, f"write at most {phase_s:g}s", key=False)
                return None
        if "for" not in self._written:
            return {**span, "last_s": phase.end_s} if "when" in self._written else span
        for_s = self._for(at_s, span.get("within_s", 0.0))
        return None if for_s is None else span | {"for_s": for_s}

    def _for(self, at_s: float, within_s: float) -> float | None:
        """How long it lasts, when it can end inside the timeline however late it starts."""
        for_s, end_s = self._read.get("seconds"), self._phases[-1].end_s
        if for_s is None:
            return None
        latest_s = at_s + within_s + for_s
        if for_s <= 0:
            self._wrong("for", "a fault lasts longer than nothing", key=False)
        elif latest_s > end_s + _TOLERANCE_S:
            verb = "could" if within_s else "would"
            message = f"it {verb} end at {latest_s:g} s, the timeline ends at {end_s:g} s"
            room_s = end_s - at_s - within_s
            hint = f"write at most {room_s:g}s" if room_s > 0 else "write a shorter `within`"
            self._wrong("for", message, hint, key=False)
        else:
            return float(for_s)
        return None

    def _phase(self) -> Phase | None:
        name = self._read.get("during", DEFAULT_PHASE)
        for phase in self._phases:
            if phase.name == name:
                return phase
        names = [phase.name for phase in self._phases]
        if "during" in self._written:
            self._reader.wrong((*self._path, "during"), *known(names, name, "phase"))
        else:
            message = f"no phase is called `{DEFAULT_PHASE}`, so say when this one starts"
            hint = f"add during: and one of {', '.join(names)}"
            self._reader.wrong(self._path, message, hint, key=True)
        return None

    def _wrong(self, word: str, message: str, hint: str = "", *, key: bool = True) -> None:
        self._reader.wrong((*self._path, word), message, hint, key=key)
