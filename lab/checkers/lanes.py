"""A counterexample on time lines, one lane a process: the layout, and the drawing in text.

Distances mean nothing, only the order of moments does: a contradiction of milliseconds inside
minutes would otherwise be a dot.

    process 1  ├──1──┤
    process 3            ├══2══┤ ✗
    1  write x 2
    2  read x → 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lab.checkers.finding import Counterexample, written


class Bar(NamedTuple):
    """One operation: its place in the counterexample, its lane, and between which moments it was.

    `last` is None for one that never returned.
    """

    place: int
    lane: int
    first: int
    last: int | None
    label: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class Lanes:
    """`processes` by lane, bars in the order of the counterexample, times of the moments."""

    processes: tuple[int, ...]
    bars: tuple[Bar, ...]
    moments_s: tuple[float, ...]

    @classmethod
    def of(cls, example: Counterexample) -> Lanes:
        """Lay a counterexample out. A return at the moment of an invocation comes after it."""
        ops = example.ops
        ordered = sorted(range(len(ops)), key=lambda place: ops[place].invoked_s)
        processes = tuple(dict.fromkeys(ops[place].process for place in ordered))
        moments = {(op.invoked_s, False) for op in ops}
        moments |= {(op.returned_s, True) for op in ops if op.outcome != "info"}
        ranks = {moment: rank for rank, moment in enumerate(sorted(moments))}
        bars = tuple(
            Bar(
                place,
                processes.index(op.process),
                ranks[op.invoked_s, False],
                None if op.outcome == "info" else ranks[op.returned_s, True],
                written(op),
                place in example.wrong,
            )
            for place, op in enumerate(ops)
        )
        return cls(processes, bars, tuple(at_s for at_s, _ in sorted(moments)))


_STEP = 4
"""Characters between two moments."""


def text(example: Counterexample) -> str:
    """The counterexample for a terminal: its sentence, the lanes, and the operations by number."""
    lanes = Lanes.of(example)
    names = [f"process {process}" for process in lanes.processes]
    margin = max(map(len, names), default=0) + 2
    width = _STEP * len(lanes.moments_s) + 2
    lines = [example.text]
    for lane, name in enumerate(names):
        row = [" "] * width
        for bar in lanes.bars:
            if bar.lane == lane:
                _draw(row, bar)
        lines.append((name.ljust(margin) + "".join(row)).rstrip())
    lines += [f"{bar.place + 1}  {bar.label}{'  ✗' if bar.wrong else ''}" for bar in lanes.bars]
    lines += [f"{arrow.start + 1} → {arrow.end + 1}  {arrow.label}" for arrow in example.arrows]
    return "\n".join(lines)


def _draw(row: list[str], bar: Bar) -> None:
    """`├──1──┤`; double where it cannot be, an arrow where it never returned."""
    line = "═" if bar.wrong else "─"
    first = _STEP * bar.first
    last = len(row) - 1 if bar.last is None else _STEP * bar.last
    row[first : last + 1] = line * (last - first + 1)
    row[first], row[last] = "├", "▷" if bar.last is None else "┤"
    number = str(bar.place + 1)
    middle = (first + last + 1 - len(number)) // 2
    row[middle : middle + len(number)] = number
    if bar.wrong and last + 2 < len(row):
        row[last + 2] = "✗"
