"""A snapshot of metrics as text for Prometheus, or as OpenMetrics with exemplars.

https://prometheus.io/docs/instrumenting/exposition_formats/ and https://prometheus.io/docs/specs/om/open_metrics_spec/. Names
are made as OpenTelemetry's own translation makes them, so that a panel finds the same series whether they were scraped here
or sent over OTLP: `tollbook.cost` in USD is `tollbook_cost_USD_total`
(https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from .instruments import Instrument
from .meter import Exemplar, Snapshot, Spread, Values

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_UNITS = {"s": "seconds", "By": "bytes", "{token}/s": "per_second"}
_WRONG = re.compile(r"[^a-zA-Z0-9_:]")


def name_of(instrument: Instrument) -> str:
    """The metric's name without `_total`."""
    name = _WRONG.sub("_", instrument.name)
    unit = _UNITS.get(instrument.unit, "" if "{" in instrument.unit else instrument.unit)
    return name if not unit or name.endswith(f"_{unit}") else f"{name}_{unit}"


def render(
    snapshot: Snapshot, instruments: Iterable[Instrument], resource: Mapping[str, str], *, open_metrics: bool = False
) -> bytes:
    """All of it. `resource` is told by `target_info`."""
    lines: list[str] = []
    told = {"service.name": resource.get("service.name", ""), "service.version": resource.get("service.version", "")}
    info = "info" if open_metrics else "gauge"
    family = "target" if open_metrics else "target_info"
    lines += (f"# HELP {family} Who tells this.", f"# TYPE {family} {info}", f"target_info{_labels(told.items())} 1")
    for instrument in instruments:
        lines += _family(snapshot, instrument, open_metrics=open_metrics)
    if open_metrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode()


def _family(snapshot: Snapshot, instrument: Instrument, *, open_metrics: bool) -> Iterator[str]:
    name = name_of(instrument)
    counter = instrument.kind == "counter"
    samples = list(_samples(snapshot, instrument, name, open_metrics=open_metrics))
    if not samples:
        return
    family = f"{name}_total" if counter and not open_metrics else name
    yield f"# HELP {family} {instrument.description}"
    yield f"# TYPE {family} {instrument.kind}"
    yield from samples


def _samples(snapshot: Snapshot, instrument: Instrument, name: str, *, open_metrics: bool) -> Iterator[str]:
    if instrument.kind == "counter":
        for values, total in snapshot.totals.get(instrument.name, ()):
            told = _exemplar(total.exemplar) if open_metrics else ""
            yield f"{name}_total{_labels(_pairs(instrument, values))} {_scaled(total.value, instrument.scale)}{told}"
    elif instrument.kind == "histogram":
        for values, spread in snapshot.spreads.get(instrument.name, ()):
            yield from _histogram(instrument, name, values, spread, open_metrics=open_metrics)
    else:
        for values, number in snapshot.gauges.get(instrument.name, ()):
            yield f"{name}{_labels(_pairs(instrument, values))} {_number(number)}"


def _histogram(
    instrument: Instrument, name: str, values: Values, spread: Spread, *, open_metrics: bool
) -> Iterator[str]:
    pairs = _pairs(instrument, values)
    so_far = 0
    for place, count in enumerate(spread.counts):
        so_far += count
        edge = _number(instrument.buckets[place]) if place < len(instrument.buckets) else "+Inf"
        told = _exemplar(spread.exemplars.get(place)) if open_metrics else ""
        yield f"{name}_bucket{_labels([*pairs, ('le', edge)])} {so_far}{told}"
    yield f"{name}_sum{_labels(pairs)} {_number(spread.total)}"
    yield f"{name}_count{_labels(pairs)} {spread.count}"


def _pairs(instrument: Instrument, values: Values) -> list[tuple[str, str]]:
    return [(name, value) for name, value in zip(instrument.labels, values, strict=False) if value]


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    told = ",".join(f'{_WRONG.sub("_", name)}="{_escaped(value)}"' for name, value in pairs)
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    """A label's value: what would end it, or the line, is written as the formats say; half a surrogate pair is replaced."""
    text = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").replace("\r", " ")
    return text.encode("utf-8", "replace").decode()


def _exemplar(exemplar: Exemplar | None) -> str:
    if exemplar is None:
        return ""
    told = _labels((("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id)))
    return f" # {told} {_number(exemplar.value)} {exemplar.time / 1e9:.3f}"


def _scaled(value: int, scale: int) -> str:
    """An integer of 1/scale as an exact decimal: a sum of money is told to the nano-dollar."""
    if scale == 1:
        return str(value)
    digits = len(str(scale)) - 1
    whole, rest = divmod(value, scale)
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".")


def _number(value: float) -> str:
    """As Prometheus reads it; the nearest double comes back."""
    return str(value) if isinstance(value, int) else f"{value:g}" if float(f"{value:g}") == value else repr(value)
