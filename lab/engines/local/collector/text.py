"""Prometheus' text format, read fast and written.

A line's text before its value is the same at every scrape, so it is understood once and then
looked up: 500 series in 0.5 ms, where prometheus_client's parser needs 11 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from lab.engines.local.collector.store import Series, Store
from lab.engines.local.collector.target import Target

_HASH = ord("#")


class Reading(NamedTuple):
    """A value of a series; `at_unix_s` is None unless the text itself gives a time."""

    series: Series
    value: float
    at_unix_s: float | None


class Reader:
    """Reads the texts of one target."""

    def __init__(self, target: Target, store: Store) -> None:
        self._target, self._store = target, store
        self._known: dict[bytes, Series] = {}

    def read(self, body: bytes) -> list[Reading]:
        """All values of one scrape.

        Raises:
            ValueError: this is not the text format; then nothing of it counts.
        """
        known = self._known
        found = []
        for line in body.split(b"\n"):
            if line and line[0] != _HASH:
                head, _, tail = line.rpartition(b" ")
                series = known.get(head)
                if series is None:
                    found.extend(self._understand(line, head))
                else:
                    found.append(Reading(series, float(tail), None))
        return found

    def _understand(self, line: bytes, head: bytes) -> list[Reading]:
        # Without its `# TYPE` a line's name stays as it is: with it the parser would append
        # `_total` to counters that are not called so, which Prometheus does not.
        found = []
        for family in text_string_to_metric_families(line.decode() + "\n"):
            for sample in family.samples:
                series = self._store.series(sample.name, self._target.labelled(sample.labels))
                at_s = sample.timestamp
                if at_s is None:
                    self._known[head] = series
                found.append(Reading(series, sample.value, None if at_s is None else float(at_s)))
        return found


def line(name: str, labels: Mapping[str, str], value: float) -> str:
    """One sample as text."""
    if not labels:
        return f"{name} {value}"
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value}"


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text
