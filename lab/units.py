"""Quantities with written units: `500ms`, `100/s`, `1%`, `256MiB`, `200KB/s`.

Inside the lab a duration is a float in seconds, a rate a float per second, a share a float in
0..1 and a size an int in bytes. The annotated types at the end parse the written form at the
border (pydantic) and describe it in the JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_DURATION = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION_PART = re.compile(_NUMBER + r"\s*(us|ms|s|m|h)")
_DURATION_PATTERN = rf"^({_NUMBER}(us|ms|s|m|h))+$"


def parse_duration(text: object) -> float:
    """Seconds of `500ms`, `1.5s`, `2m`, `1m30s`.

    Raises:
        ValueError: no unit, an unknown unit, or not a duration at all.
    """
    written = str(text).strip()
    end, total_s = 0, 0.0
    for part in _DURATION_PART.finditer(written):
        if part.start() != end:
            break
        total_s += float(part[1]) * _DURATION[part[2]]
        end = part.end()
    if not written or end != len(written):
        raise ValueError(
            f"`{written}` is not a duration: write a number and a unit, like 500ms, 2s, 1m30s"
        )
    return total_s


def parse_offset(text: object) -> float:
    """Seconds of `-30s`, `+1m`, `500ms`.

    Raises:
        ValueError: no unit, an unknown unit, or not a duration with or without a sign.
    """
    written = str(text).strip()
    sign = written[:1] if written[:1] in ("+", "-") else ""
    seconds = parse_duration(written.removeprefix(sign))
    return -seconds if sign == "-" else seconds


def parse_rate(text: object) -> float:
    """Events per second of `100/s`, `30/m`, `500000/h`.

    Raises:
        ValueError: no unit, an unknown unit, or not a rate at all.
    """
    match = re.fullmatch(_NUMBER + r"\s*/\s*(s|m|h)", str(text).strip())
    if not match:
        raise ValueError(f"`{text}` is not a rate: write a number per second, like 100/s")
    return float(match[1]) / _PER[match[2]]


def parse_share(text: object) -> float:
    """A share in 0..1 of `1%`, `99.9%`.

    Raises:
        ValueError: no percent sign, or outside 0% to 100%.
    """
    match = re.fullmatch(_NUMBER + r"\s*%", str(text).strip())
    if not match or float(match[1]) > 100:
        raise ValueError(
            f"`{text}` is not a share: write a percentage between 0% and 100%, like 1%"
        )
    return float(match[1]) / 100


def parse_size(text: object) -> int:
    """Bytes of `64KiB`, `256MiB`, `1GB`.

    Raises:
        ValueError: no unit, an unknown unit, or not a size at all.
    """
    match = re.fullmatch(_NUMBER + r"\s*(B|[KMG]i?B)", str(text).strip())
    if not match:
        raise ValueError(f"`{text}` is not a size: write a number and a unit, like 256MiB")
    return int(float(match[1]) * _SIZE[match[2]])


def parse_byte_rate(text: object) -> int:
    """Bytes per second of `200KB/s`, `1MiB/s`.

    Raises:
        ValueError: no unit, an unknown unit, or not a rate of bytes at all.
    """
    written = str(text).strip()
    size, slash, second = written.rpartition("/")
    try:
        if slash and second.strip() == "s":
            return parse_size(size)
    except ValueError:
        pass
    raise ValueError(f"`{written}` is not a rate of bytes: write a size per second, like 200KB/s")


@dataclass(frozen=True, slots=True)
class Ramp:
    """A quantity that changes steadily; `over_s` None is the whole time of what it belongs to."""

    start: float
    end: float
    over_s: float | None = None

    def at(self, elapsed_s: float, whole_s: float) -> float:
        """Its value so many seconds after it began; from the end on, that of the end."""
        over_s = whole_s if self.over_s is None else self.over_s
        done = min(max(elapsed_s / over_s, 0.0), 1.0)
        return self.start + done * (self.end - self.start)


def parse_ramp(text: object, parse: Callable[[object], float]) -> Ramp | float:
    """`0ms to 500ms`, `0ms to 500ms over 10s`, or one value alone.

    Raises:
        ValueError: a part of it does not parse, nothing changes, or it takes no time.
    """
    start, to, rest = str(text).partition(" to ")
    if not to:
        return parse(text)
    end, over, seconds = rest.partition(" over ")
    over_s = parse_duration(seconds) if over else None
    ramp = Ramp(parse(start), parse(end), over_s)
    if ramp.start == ramp.end or ramp.over_s == 0:
        raise ValueError(f"`{text}` changes nothing: write two values, like 0ms to 500ms over 10s")
    return ramp


def format_duration(seconds: float) -> str:
    """The shortest usual form with three significant digits: `1.2 ms`, `350 ms`, `2.14 s`."""
    if seconds >= 0.9995:
        return f"{_three(seconds)} s"
    if seconds >= 0.9995e-3 or seconds == 0:
        return f"{_three(seconds * 1e3)} ms"
    return f"{_three(seconds * 1e6)} us"


def format_share(share: float) -> str:
    """A percentage with one decimal where it matters: `53.4 %`, `100 %`."""
    return f"{_three(share * 100)} %"


def format_rate(per_s: float) -> str:
    """`97.2/s`."""
    return f"{_three(per_s)}/s"


def format_size(size: float) -> str:
    """`64.2 MiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= _SIZE[unit]:
            return f"{_three(size / _SIZE[unit])} {unit}"
    return f"{size:.0f} B"


def format_byte_rate(bytes_per_s: float) -> str:
    """`195 KiB/s`."""
    return f"{format_size(bytes_per_s)}/s"


def format_range(values: Collection[float], words: Callable[[float], str] = format_duration) -> str:
    """`21.8 ms`, or `21.8 ms to 23 ms`: in the order of the numbers, not of their words."""
    low, high = words(min(values)), words(max(values))
    return low if low == high else f"{low} to {high}"


def times(count: int) -> str:
    """`once`, `3 times`."""
    return "once" if count == 1 else f"{count} times"


def format_count(number: float) -> str:
    """A plain number: `8,723`, `3.42`."""
    return f"{number:,.0f}" if abs(number) >= 1000 else _three(number)


def _three(number: float) -> str:
    """At most three significant digits, never in scientific notation, no trailing zeros."""
    if abs(number) >= 100:
        return f"{number:.0f}"
    text = f"{number:.2f}" if abs(number) < 10 else f"{number:.1f}"
    return text.rstrip("0").rstrip(".")


def _schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


def _ramp(parse: Any) -> BeforeValidator:
    """One value or a ramp of them."""
    ready = int | float | Ramp
    return BeforeValidator(lambda v: v if isinstance(v, ready) else parse_ramp(v, parse))


def _ramp_schema(one: str, example: str) -> WithJsonSchema:
    whole = one.removeprefix("^").removesuffix("$")
    over = _DURATION_PATTERN.removeprefix("^").removesuffix("$")
    return _schema(rf"^{whole}( to {whole}( over {over})?)?$", example)


def _unless_parsed(parse: Any) -> BeforeValidator:
    """Let code build values with plain numbers; only text goes through the parser.

    A YAML number without a unit is refused by the loader, which hands every scalar on as text.
    """
    return BeforeValidator(lambda value: value if isinstance(value, int | float) else parse(value))


Seconds = Annotated[float, _unless_parsed(parse_duration), _schema(_DURATION_PATTERN, "500ms")]
Offset = Annotated[
    float,
    _unless_parsed(parse_offset),
    _schema(_DURATION_PATTERN.replace("^", "^[+-]?", 1), "-30s"),
]
PerSecond = Annotated[float, _unless_parsed(parse_rate), _schema(rf"^{_NUMBER}/(s|m|h)$", "100/s")]
Share = Annotated[float, _unless_parsed(parse_share), _schema(rf"^{_NUMBER}%$", "1%")]
Bytes = Annotated[int, _unless_parsed(parse_size), _schema(rf"^{_NUMBER}([KMG]i?)?B$", "256MiB")]
_BYTE_RATE_PATTERN = rf"^{_NUMBER}([KMG]i?)?B/s$"
BytesPerSecond = Annotated[
    int, _unless_parsed(parse_byte_rate), _schema(_BYTE_RATE_PATTERN, "200KB/s")
]
SecondsOrRamp = Annotated[
    float | Ramp, _ramp(parse_duration), _ramp_schema(_DURATION_PATTERN, "500ms")
]
BytesPerSecondOrRamp = Annotated[
    int | Ramp, _ramp(parse_byte_rate), _ramp_schema(_BYTE_RATE_PATTERN, "200KB/s")
]
