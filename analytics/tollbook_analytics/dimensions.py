"""By what spend can be told apart, and narrowing the books to some of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import polars as pl

from .errors import ReportError

DIMENSIONS: Mapping[str, str] = {
    "key": "key_id",
    "team": "team",
    "end_user": "end_user",
    "model": "model",
    "provider": "provider",
    "deployment": "deployment",
    "tag": "tags",
    "session": "session_id",
    "task": "task",
    "outcome": "outcome",
    "upstream_model": "upstream_model",
    "tier": "service_tier",
    "reason": "reason",
    "error_kind": "error_kind",
    "error_code": "error_code",
    "finish": "finish",
    "usage_source": "usage_source",
    "price_version": "price_version",
}
"""What a report may be made `by`, with the ledger's column. A call with several tags counts under each of them."""


def checked(by: Iterable[str]) -> tuple[str, ...]:
    """The names, each once. Raises ReportError for one that there is not."""
    names = tuple(dict.fromkeys(by))
    if wrong := [name for name in names if name not in DIMENSIONS]:
        raise ReportError(f"nothing can be told by {', '.join(wrong)}: there is {', '.join(DIMENSIONS)}")
    return names


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls count: of each name that is given, those with one of its values. "" stands for calls without the thing.

    `key` takes ids and aliases; `tag` takes calls with any of the tags.
    """

    key: tuple[str, ...] = ()
    team: tuple[str, ...] = ()
    end_user: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    deployment: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()

    def of(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """The frame, narrowed."""
        for name, values in self.given().items():
            frame = frame.filter(_any(name, values))
        return frame

    def given(self) -> dict[str, tuple[str, ...]]:
        """What is asked for, by name; empty when everything counts."""
        told = {field.name: tuple(getattr(self, field.name)) for field in fields(self)}
        return {name: values for name, values in told.items() if values}

    def columns(self) -> set[str]:
        """The ledger's columns that it looks at."""
        return {DIMENSIONS[name] for name in self.given()}


def _any(name: str, values: tuple[str, ...]) -> pl.Expr:
    column = pl.col(DIMENSIONS[name])
    wanted = [value for value in values if value]
    if name == "tag":
        found = pl.any_horizontal(column.list.contains(value) for value in wanted) if wanted else pl.lit(False)
        without = column.is_null() | (column.list.len() == 0)
    elif name == "key":
        found = column.is_in(wanted) | pl.col("key_alias").is_in(wanted).fill_null(False)
        without = column.is_null() | (column == "")
    else:
        found = column.is_in(wanted)
        without = column.is_null()
    return (found | without) if "" in values else found
