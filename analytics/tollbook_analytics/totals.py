"""Adding up: the one pass over the books that every report of sums is made of.

Sums are made in 128 bits and narrowed to 64 at the end, for Polars' own 64-bit sums wrap silently
(https://docs.pola.rs/api/python/stable/reference/expressions/api/polars.Expr.sum.html names no check). What is grouped is
the ledger itself, or hours of it that were rolled up; a row then stands for as many as its `rows` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from .dimensions import DIMENSIONS, checked
from .errors import NotALedger, Overflow, TooCoarse
from .ledger import MOMENT
from .window import Every, Window, hour_before, midnight

TIME = "time"
"""The column with the beginning of each bucket of time, in the zone of the window."""

WIDE = pl.Int128
PICO = "_pico"
_TRUNCATE: Mapping[Every, str] = {"day": "1d", "week": "1w", "month": "1mo"}
_LARGEST = 2**63 - 1


def collect(frame: pl.LazyFrame) -> pl.DataFrame:
    """Run it in the streaming engine, whose memory does not grow with the books."""
    return frame.collect(engine="streaming")


class Facts(NamedTuple):
    """Columns that `within` adds to every row: whether an upstream was asked, and whether the cost of that is known, or unknown.

    Unknown is the cost of attempts that used tokens, or answered, without a price (the same rule as `tollbook.call.Call.cost`);
    one that did neither owes nothing.
    """

    attempted: str = "_attempted"
    priced: str = "_priced"
    unpriced: str = "_unpriced"


FACTS = Facts()


def within(frame: pl.LazyFrame, window: Window, every: Every | None = None) -> pl.LazyFrame:
    """The rows of calls that make responses and began in the window, each with the number of `rows` it stands for and its
    `FACTS`.

    Raises TooCoarse when the frame holds hours and the window, or one of its buckets, begins or ends inside of one.
    """
    found = frame.collect_schema()
    if "rows" not in found:
        # Numbers tell the same as words here, and are read several times faster.
        attempted, priced = pl.col("attempt").is_not_null(), pl.col("cost_nano").is_not_null()
        return (
            frame.filter(_in(window), pl.col("operation") == "create")
            .with_columns(
                pl.lit(1, pl.Int64).alias("rows"),
                pl.when(pl.col("turn") > 1)
                .then("uncached_input_tokens")
                .otherwise(0)
                .alias("follow_up_uncached_tokens"),
            )
            .with_columns(_facts(attempted, priced))
        )
    if "started" not in found:
        if not window.on_hours(every):
            raise TooCoarse(
                f"hours of UTC cannot tell {window.start.isoformat()} to {window.end.isoformat()} in {window.zone}"
                f"{f' by {every}' if every else ''}: an edge is inside of one"
            )
        frame = frame.rename({"hour": "started"})
    selected = frame.filter(_in(window))
    if "cost_status" not in found:
        return selected
    # A sum over rows without a cost is 0 and not null.
    return selected.with_columns(
        _facts(pl.col("reason").is_not_null(), pl.col("cost_status").is_in(["priced", "free"]))
    )


def _facts(attempted: pl.Expr, priced: pl.Expr) -> list[pl.Expr]:
    used = (pl.col("usage_source") != "none") | pl.col("attempt_outcome").is_in(["completed", "incomplete"])
    return [
        attempted.alias(FACTS.attempted),
        (attempted & priced).alias(FACTS.priced),
        (attempted & ~priced & used).alias(FACTS.unpriced),
    ]


def _in(window: Window) -> pl.Expr:
    return (pl.col("started") >= literal(window.start)) & (pl.col("started") < literal(window.end))


def literal(moment: datetime) -> pl.Expr:
    """A moment, as the ledger has it."""
    return pl.lit(moment, MOMENT)


def add_up(
    frame: pl.LazyFrame,
    window: Window,
    sums: Mapping[str, pl.Expr],
    *,
    by: Iterable[str] = (),
    every: Every | None = None,
    also: Mapping[str, pl.Expr] | None = None,
) -> pl.DataFrame:
    """One row for each value of `by` in each bucket of time: `time`, the names in `by`, then the sums.

    A sum called `…_pico` is of pico-USD, and comes as `…_nano`. `also` are further things to group by. A key comes with
    its newest `key_alias`. Without anything to group by there is exactly one row; with time alone there is a row for
    every bucket of the window, also where nothing was.
    """
    names = checked(by)
    selected, keys = grouped(frame, window, names, every)
    keys |= also or {}
    wide = [summed(expression).alias(name) for name, expression in sums.items()]
    require(selected, [*keys.values(), *wide])
    found = narrow(collect(selected.group_by(aliased(keys)).agg(wide) if keys else selected.select(wide)), list(sums))
    if every is not None:
        found = labelled(found, window, every, complete=len(keys) == 1)
    return with_aliases(found, frame, window) if "key" in names else found


def summed(expression: pl.Expr) -> pl.Expr:
    """The sum in 128 bits; of counts, which no ledger is long enough to overflow, in 64."""
    return expression.cast(pl.Int64 if "rows" in expression.meta.root_names() else WIDE).sum()


def grouped(
    frame: pl.LazyFrame, window: Window, names: tuple[str, ...], every: Every | None
) -> tuple[pl.LazyFrame, dict[str, pl.Expr]]:
    """The rows of the window, and what to group them by: the bucket of time, then the names."""
    selected = within(frame, window, every)
    keys = {TIME: bucket_of(window, every)} if every is not None else {}
    keys |= {name: pl.col(DIMENSIONS[name]) for name in names}
    require(selected, list(keys.values()))
    if "tag" in names:
        selected = selected.explode(DIMENSIONS["tag"], empty_as_null=True, keep_nulls=True)
    return selected, keys


def aliased(keys: Mapping[str, pl.Expr]) -> list[pl.Expr]:
    """Expressions under their names."""
    return [expression.alias(name) for name, expression in keys.items()]


def require(frame: pl.LazyFrame, expressions: Sequence[pl.Expr]) -> None:
    """Raises TooCoarse or NotALedger, naming the columns, where the frame has not what these read."""
    found = frame.collect_schema()
    missing = sorted({name for each in expressions for name in each.meta.root_names()} - set(found))
    if missing and "call_id" in found:
        raise NotALedger(f"the ledger is without {', '.join(missing)}")
    if missing:
        raise TooCoarse(f"rolled-up hours do not tell {', '.join(missing)}; the ledger does")


def narrow(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Sums of 128 bits as Int64, those of pico-USD in nano-USD. Raises Overflow, naming the first that does not fit."""
    pico = [name for name in names if name.endswith(PICO)]
    frame = frame.with_columns(_nano(name) for name in pico).rename({name: _in_nano(name) for name in pico})
    names = [_in_nano(name) for name in names]
    for name in names:
        column = frame[name]
        extremes = [extreme for extreme in (column.min(), column.max()) if isinstance(extreme, int)]
        if any(abs(extreme) > _LARGEST for extreme in extremes):
            raise Overflow(f"the sum of {name} does not fit 64 bits: narrow the time or the filters")
    return frame.with_columns(pl.col(name).cast(pl.Int64) for name in names)


def _in_nano(name: str) -> str:
    return f"{name.removesuffix(PICO)}_nano" if name.endswith(PICO) else name


def _nano(pico: str) -> pl.Expr:
    """Rounded once, half to even, as prices are."""
    whole, rest = pl.col(pico) // 1000, pl.col(pico) % 1000
    return whole + ((rest > 500) | ((rest == 500) & (whole % 2 != 0))).cast(WIDE)


def with_aliases(found: pl.DataFrame, frame: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """The rows with `key_alias` after `key`: its newest in the window, for a key that was renamed is one key.

    The key "" of a gateway that runs without keys is null.
    """
    named = within(frame, window).group_by(key="key_id", key_alias="key_alias").agg(pl.col("started").max())
    newest = (
        collect(named).sort("started", "key_alias", nulls_last=False).group_by("key").agg(pl.col("key_alias").last())
    )
    place = found.columns.index("key") + 1
    columns = [*found.columns[:place], "key_alias", *found.columns[place:]]
    joined = found.join(newest, on="key", how="left", nulls_equal=True).select(columns)
    return joined.with_columns(pl.col("key").replace("", None))


# ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bucket_of(window: Window, every: Every) -> pl.Expr:
    """The bucket as cheaply as millions of rows want it: for hours its first moment, else its first day on the wall."""
    offsets = window.offsets()
    ahead = pl.lit(offsets[0].ahead)
    for offset in offsets[1:]:
        ahead = pl.when(pl.col("started") >= literal(offset.since)).then(pl.lit(offset.ahead)).otherwise(ahead)
    local = pl.col("started").dt.replace_time_zone(None) + ahead
    if every == "hour":
        return local.dt.truncate("1h") - ahead
    return local.dt.truncate(_TRUNCATE[every])


def labelled(found: pl.DataFrame, window: Window, every: Every, *, complete: bool = False) -> pl.DataFrame:
    """The buckets by their first moment, in the zone; all of them if `complete`, with zeros."""
    naive = found[TIME].unique().to_list()
    offsets = window.offsets()

    def first(bucket: datetime) -> datetime:
        if every != "hour":
            return midnight(bucket.date(), window.zone)
        start = bucket.replace(tzinfo=window.start.tzinfo)
        # Where clocks were changed by less than an hour, what is left of it begins at the change.
        return next((each.since for each in offsets if hour_before(each.since, each.ahead) == start), start)

    names = pl.DataFrame(
        {TIME: naive, "_first": [first(bucket) for bucket in naive]},
        schema={TIME: found.schema[TIME], "_first": MOMENT},
    )
    labelled = found.join(names, on=TIME).drop(TIME).rename({"_first": TIME}).select(found.columns)
    if complete:
        calendar = pl.DataFrame({TIME: [bucket.start for bucket in window.buckets(every)]}, schema={TIME: MOMENT})
        numbers = [name for name in labelled.columns if name != TIME]
        labelled = calendar.join(labelled, on=TIME, how="left").with_columns(pl.col(numbers).fill_null(0))
    return labelled.with_columns(pl.col(TIME).dt.convert_time_zone(window.zone))


def in_utc(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with their time in UTC: what the same moment is called in two zones does not always compare as equal (PEP 495)."""
    return frame.with_columns(pl.col(TIME).dt.convert_time_zone("UTC"))


def ordered(frame: pl.DataFrame, *by: str, rank: str = "cost_nano") -> pl.DataFrame:
    """By time, the dearest first, then by name: the same rows come in the same order whatever the engine did."""
    names = [TIME] if TIME in frame.columns else []
    down = [False for _ in names]
    names, down = [*names, rank, *by], [*down, True, *(False for _ in by)]
    return frame.sort(names, descending=down, nulls_last=True)


def share(part: str, whole: str) -> pl.Expr:
    """One number by another; null where the other is 0 or unknown."""
    return pl.when(pl.col(whole) != 0).then(pl.col(part) / pl.col(whole))


def row(frame: pl.DataFrame) -> dict[str, Any]:
    """The only row."""
    (found,) = frame.to_dicts()
    return found
