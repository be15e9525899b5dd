"""Sums and histograms, kept by ourselves: the SDK takes 15 µs for one record, this takes one.

A `Meter` is of one process. What it holds can be written down, read by another process and added up: `Snapshot`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from threading import Lock
from time import time_ns
from typing import Any, TypeAlias

import msgspec

from .instruments import Instrument

Values: TypeAlias = tuple[str, ...]
"""Of the labels of an instrument, in their order; "" where one is not told."""
Measurement: TypeAlias = tuple[Instrument, Values, int | float]
Reading: TypeAlias = tuple[Values, int | float]
Gauge: TypeAlias = Callable[[], Iterable[Reading]]

MOST_SERIES = 2000
"""Of one instrument, as in OpenTelemetry's SDK. What comes beyond is counted under `_other`, so that sums stay right."""
OTHER = "_other"


class Exemplar(msgspec.Struct, array_like=True, frozen=True):
    """One measurement with the trace that it is from; `time` in nanoseconds since 1970."""

    value: float
    time: int
    trace_id: str
    span_id: str


class Total(msgspec.Struct, array_like=True):
    """Of a counter, in units of 1/scale."""

    value: int = 0
    exemplar: Exemplar | None = None


class Spread(msgspec.Struct, array_like=True):
    """Of a histogram: how many measurements in each bucket, and their sum. `exemplars` by bucket."""

    counts: list[int]
    total: float = 0.0
    count: int = 0
    least: float = 0.0
    most: float = 0.0
    exemplars: dict[int, Exemplar] = msgspec.field(default_factory=dict)


class Snapshot(msgspec.Struct, array_like=True):
    """What a meter held at a moment, by instruments' names. `since`: when it began to count."""

    since: int
    totals: dict[str, list[tuple[Values, Total]]]
    spreads: dict[str, list[tuple[Values, Spread]]]
    gauges: dict[str, list[Reading]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


class Meter:
    """Adds up measurements. Safe to use from several threads."""

    def __init__(self, instruments: Iterable[Instrument], *, since: int | None = None) -> None:
        self.since = time_ns() if since is None else since
        self._totals: dict[str, dict[Values, Total]] = {}
        self._spreads: dict[str, dict[Values, Spread]] = {}
        self._gauges: dict[str, list[Gauge]] = {}
        self._lock = Lock()
        for each in instruments:
            if each.kind == "counter":
                self._totals[each.name] = {}
            elif each.kind == "histogram":
                self._spreads[each.name] = {}

    def record(self, measurements: Iterable[Measurement], trace: tuple[str, str] | None = None) -> None:
        """Add them. With a `trace` (its id and a span's) they may serve as exemplars."""
        with self._lock:
            now = time_ns() if trace is not None else 0
            for instrument, values, amount in measurements:
                if instrument.kind == "counter":
                    total = _series(self._totals[instrument.name], values, instrument)
                    total.value += amount
                    if trace is not None:
                        total.exemplar = Exemplar(amount / instrument.scale, now, *trace)
                else:
                    spread = _series(self._spreads[instrument.name], values, instrument)
                    place = bisect_left(instrument.buckets, amount)
                    spread.counts[place] += 1
                    spread.total += amount
                    if not spread.count or amount < spread.least:
                        spread.least = amount
                    if amount > spread.most or not spread.count:
                        spread.most = amount
                    spread.count += 1
                    if trace is not None:
                        spread.exemplars[place] = Exemplar(amount, now, *trace)

    def watch(self, instrument: Instrument, gauge: Gauge) -> None:
        """Ask `gauge` for the readings of an instrument whenever they are wanted. It may be called from any thread."""
        with self._lock:
            self._gauges.setdefault(instrument.name, []).append(gauge)

    def encoded(self) -> bytes:
        """What it holds, for a file."""
        gauges = {name: [reading for gauge in each for reading in gauge()] for name, each in self._gauges.items()}
        with self._lock:
            totals = {name: list(series.items()) for name, series in self._totals.items() if series}
            spreads = {name: list(series.items()) for name, series in self._spreads.items() if series}
            return _encode(Snapshot(self.since, totals, spreads, gauges))

    def snapshot(self) -> Snapshot:
        """What it holds."""
        return _decode(self.encoded())


def _series(known: dict[Values, Any], values: Values, instrument: Instrument) -> Any:
    found = known.get(values)
    if found is None:
        if len(known) >= MOST_SERIES:
            values = (OTHER,) * len(values)
            found = known.get(values)
        if found is None:
            counts = [0] * (len(instrument.buckets) + 1)
            found = known[values] = Total() if instrument.kind == "counter" else Spread(counts)
    return found


def decode(content: bytes) -> Snapshot:
    """What `encoded` wrote. Raises ValueError for anything else."""
    try:
        return _decode(content)
    except msgspec.DecodeError as wrong:
        raise ValueError(str(wrong)) from None


def added(snapshots: Iterable[Snapshot], instruments: Iterable[Instrument]) -> Snapshot:
    """Several processes' as one."""
    parts = list(snapshots)
    totals: dict[str, list[tuple[Values, Total]]] = {}
    spreads: dict[str, list[tuple[Values, Spread]]] = {}
    gauges: dict[str, list[Reading]] = {}
    for instrument in instruments:
        name = instrument.name
        if instrument.kind == "counter":
            totals[name] = _add(((v, t) for p in parts for v, t in p.totals.get(name, ())), _add_totals)
        elif instrument.kind == "histogram":
            spreads[name] = _add(((v, s) for p in parts for v, s in p.spreads.get(name, ())), _add_spreads)
        else:
            combine = _TOGETHER[instrument.together]
            gauges[name] = _add(((v, g) for p in parts for v, g in p.gauges.get(name, ())), combine)
    since = min((part.since for part in parts), default=time_ns())
    return Snapshot(since, totals, spreads, gauges)


_TOGETHER: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


def _add(series: Iterable[tuple[Values, Any]], combine: Callable[[Any, Any], Any]) -> list[tuple[Values, Any]]:
    found: dict[Values, Any] = {}
    for values, each in series:
        known = found.get(values)
        found[values] = each if known is None else combine(known, each)
    return list(found.items())


def _add_totals(one: Total, other: Total) -> Total:
    return Total(one.value + other.value, _later(one.exemplar, other.exemplar))


def _add_spreads(one: Spread, other: Spread) -> Spread:
    if not one.count or not other.count or len(one.counts) != len(other.counts):
        return one if one.count >= other.count else other
    places = one.exemplars.keys() | other.exemplars.keys()
    exemplars = {place: _later(one.exemplars.get(place), other.exemplars.get(place)) for place in places}
    return Spread(
        [a + b for a, b in zip(one.counts, other.counts, strict=True)],
        one.total + other.total,
        one.count + other.count,
        min(one.least, other.least),
        max(one.most, other.most),
        {place: exemplar for place, exemplar in exemplars.items() if exemplar is not None},
    )


def _later(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or other is None:
        return one or other
    return one if one.time >= other.time else other
