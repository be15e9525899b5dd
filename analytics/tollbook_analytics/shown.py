"""Reports in words and files: numbers as people read them, tables for a terminal, JSON, CSV."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import Any

import polars as pl

from .columns import COLUMNS, Column, Unit, heading

UNKNOWN = "unknown"
NOTHING = "–"

_NUMBERS: frozenset[Unit] = frozenset(("count", "nano", "share", "milliseconds", "number"))


def dollars(nano: int) -> str:
    """To the cent from a dollar on, with four digits below: 1234567000000 -> "$1,234.57", 412345 -> "$0.0004123", 0 -> "$0"."""
    sign, size = ("-", -nano) if nano < 0 else ("", nano)
    if size == 0:
        return "$0"
    if size >= 10**9:
        cents = (size + 5_000_000) // 10_000_000
        return f"{sign}${cents // 100:,}.{cents % 100:02d}"
    places = min(9, 9 - len(str(size)) + 4)
    step = 10 ** (9 - places)
    rounded = (size + step // 2) // step
    if rounded >= 10**places:
        return f"{sign}$1.00"
    return f"{sign}$0.{rounded:0{places}d}".rstrip("0")


def cell(value: Any, unit: Unit, every: str | None = None) -> str:
    """A value for people; what is unknown is not shown as a number. `every` is what a moment is the beginning of."""
    if value is None:
        return UNKNOWN if unit == "nano" else NOTHING
    match unit:
        case "nano":
            return dollars(value)
        case "share":
            return f"{value * 100:.1f} %"
        case "count":
            return f"{value:,}"
        case "milliseconds":
            return f"{value:,.0f} ms"
        case "number":
            return "∞" if math.isinf(value) else f"{value:,.1f}"
        case "flag":
            return "yes" if value else "no"
        case "moment":
            return f"{value:%Y-%m-%d}" if every in ("day", "week", "month") else f"{value:%Y-%m-%d %H:%M}"
        case "list":
            return ", ".join(str(each) for each in value)
        case _:
            return str(value)


def column(name: str) -> Column:
    """What a column is; plain text for one that nobody described."""
    return COLUMNS.get(name, Column("name", ""))


_MANY, _WIDE = 6, 13
"""Columns above which one row, or half a dozen, read better from top to bottom."""


def table(frame: pl.DataFrame, every: str | None) -> tuple[list[str], list[list[str]], set[str]]:
    """Headings, rows, and which headings stand over numbers. Few rows of many columns are turned on their side."""
    names = [name for name in frame.columns if name != "contributors"]
    cells = [[cell(row[name], column(name).unit, every) for name in names] for row in frame.to_dicts()]
    heads = [heading(name) for name in names]
    if 0 < len(cells) <= (1 if len(names) <= _WIDE else 6) and len(names) > _MANY:
        turned = [[head, *(row[place] for row in cells)] for place, head in enumerate(heads)]
        titles = ["", *(row[0] for row in cells)]
        return titles, turned[1:], set(titles[1:])
    return heads, cells, {head for head, name in zip(heads, names, strict=True) if column(name).unit in _NUMBERS}


def to_json(head: dict[str, Any], frame: pl.DataFrame) -> str:
    """One object: `head`, and the rows. Times are ISO 8601, numbers that are none are null."""
    return json.dumps({**head, "rows": [_plain(row) for row in frame.to_dicts()]}, ensure_ascii=False, indent=2)


def to_csv(frame: pl.DataFrame) -> str:
    """With a line of headings. Lists are joined; what a spreadsheet would run as a formula begins with an apostrophe."""
    flat = frame.drop("contributors", strict=False)
    texts: list[pl.Expr] = []
    for name, kind in flat.schema.items():
        told = pl.col(name).list.join("; ") if isinstance(kind, pl.List) else pl.col(name)
        if kind == pl.String or isinstance(kind, pl.List):
            texts.append(pl.when(told.str.contains(r"^[=+\-@\t\r]")).then("'" + told).otherwise(told).alias(name))
        elif isinstance(kind, pl.Datetime):
            texts.append(pl.col(name).dt.to_string("iso:strict").alias(name))
    return flat.with_columns(texts).write_csv()


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def explained(frame: pl.DataFrame) -> list[tuple[str, str]]:
    """The name of each column, and how it was computed."""
    return [(name, column(name).words) for name in frame.columns]
