"""The samples in memory: two arrays of doubles per series, 16 bytes a sample."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping

Labels = tuple[tuple[str, str], ...]

_UNSAID = ("__name__", "job", "service")


class Series:
    """The values of one series, in the order in which they were scraped."""

    __slots__ = ("design", "instance", "labels", "name", "times", "values")

    def __init__(self, name: str, design: str, instance: str, labels: Labels) -> None:
        self.name, self.design, self.instance, self.labels = name, design, instance, labels
        self.times = array("d")
        self.values = array("d")

    def append(self, at_unix_s: float, value: float) -> None:
        """One more value; of several for one moment the first counts, as in Prometheus."""
        if not (self.times and self.times[-1] == at_unix_s):
            self.times.append(at_unix_s)
            self.values.append(value)


class Store:
    """Every series of a run, each once."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, Labels], Series] = {}

    def series(self, name: str, labels: Mapping[str, str]) -> Series:
        """The series of a name and labels, made when it is new.

        `job` and `service` are left out: which design and instance it is about says enough.
        """
        said = {k: v for k, v in labels.items() if k not in _UNSAID}
        design, instance = said.pop("design", ""), said.pop("instance", "")
        key = (name, design, instance, tuple(sorted(said.items())))
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = Series(*key)
        return found

    def between(
        self, start_unix_s: float, end_unix_s: float, names: Collection[str]
    ) -> Iterator[tuple[Series, list[float], list[float]]]:
        """(series, times, values) of the named series, both ends included, without NaN."""
        for series in self._series.values():
            if series.name not in names:
                continue
            pairs = [
                (at, value)
                for at, value in zip(series.times, series.values, strict=True)
                if start_unix_s <= at <= end_unix_s and not math.isnan(value)
            ]
            if pairs:
                yield series, [at for at, _ in pairs], [value for _, value in pairs]

    def forget(self, before_unix_s: float) -> None:
        """Let go of older samples; a series stays, because its reader knows it."""
        for series in self._series.values():
            old = bisect_left(series.times, before_unix_s)
            del series.times[:old], series.values[:old]

    def count(self) -> tuple[int, int]:
        """Series and samples."""
        return len(self._series), sum(len(one.times) for one in self._series.values())
