"""A snapshot of metrics as `Metric` messages: cumulative, with exemplars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tollbook.telemetry.instruments import Instrument
from tollbook.telemetry.meter import Exemplar, Reading, Snapshot, Spread, Total, Values

from .wire import attributes, double, fixed64, message, packed_doubles, packed_fixed64, text

_CUMULATIVE = b"\x10\x02"


def encode(snapshot: Snapshot, instruments: Iterable[Instrument], *, now: int, exemplars_since: int) -> list[bytes]:
    """One `Metric` for each instrument that has something to say. Exemplars that are older than the last export are left
    out: a collector would take them for new ones."""
    found: list[bytes] = []
    times = b"\x11" + fixed64(snapshot.since) + b"\x19" + fixed64(now)
    for instrument in instruments:
        name = instrument.name
        if instrument.kind == "counter":
            totals = snapshot.totals.get(name)
            if totals:
                points = b"".join(message(1, each) for each in _totals(instrument, totals, times, exemplars_since))
                found.append(_head(instrument) + message(7, points + _CUMULATIVE + b"\x18\x01"))
        elif instrument.kind == "histogram":
            spreads = snapshot.spreads.get(name)
            if spreads:
                points = b"".join(message(1, each) for each in _spreads(instrument, spreads, times, exemplars_since))
                found.append(_head(instrument) + message(9, points + _CUMULATIVE))
        elif readings := snapshot.gauges.get(name):
            points = b"".join(message(1, each) for each in _readings(instrument, readings, now))
            found.append(_head(instrument) + message(5, points))
    return found


def _head(instrument: Instrument) -> bytes:
    return text(1, instrument.name) + text(2, instrument.description) + text(3, instrument.unit)


def _totals(
    instrument: Instrument, totals: Iterable[tuple[Values, Total]], times: bytes, since: int
) -> Iterator[bytes]:
    for values, total in totals:
        exemplar = total.exemplar
        told = b"" if exemplar is None or exemplar.time < since else message(5, _exemplar(exemplar))
        if instrument.scale == 1:
            number = b"\x31" + fixed64(total.value & 0xFFFFFFFFFFFFFFFF)
        else:
            number = double(4, total.value / instrument.scale)
        yield times + number + told + attributes(7, labelled(instrument, values))


def _spreads(
    instrument: Instrument, spreads: Iterable[tuple[Values, Spread]], times: bytes, since: int
) -> Iterator[bytes]:
    for values, spread in spreads:
        told = b"".join(message(8, _exemplar(each)) for each in spread.exemplars.values() if each.time >= since)
        yield b"".join(
            (
                times,
                b"\x21" + fixed64(spread.count),
                double(5, spread.total),
                packed_fixed64(6, spread.counts),
                packed_doubles(7, instrument.buckets),
                told,
                attributes(9, labelled(instrument, values)),
                double(11, spread.least),
                double(12, spread.most),
            )
        )


def _readings(instrument: Instrument, readings: Iterable[Reading], now: int) -> Iterator[bytes]:
    for values, number in readings:
        moment = b"\x19" + fixed64(now)
        yield moment + double(4, float(number)) + attributes(7, labelled(instrument, values))


def _exemplar(exemplar: Exemplar) -> bytes:
    return b"".join(
        (
            b"\x11" + fixed64(exemplar.time),
            double(3, exemplar.value),
            b"\x22\x08" + bytes.fromhex(exemplar.span_id),
            b"\x2a\x10" + bytes.fromhex(exemplar.trace_id),
        )
    )


def labelled(instrument: Instrument, values: Values) -> dict[str, str | int]:
    """The labels that are told, by name; an HTTP status is a number."""
    found: dict[str, str | int] = {}
    for name, value in zip(instrument.labels, values, strict=False):
        if value:
            found[name] = int(value) if name == "http.response.status_code" and value.isdecimal() else value
    return found
