"""Days on which somebody or something cost far more than it used to, and what that was made of.

Robust on purpose: the usual is a median, the spread a median of deviations, both on a logarithmic scale, and a day that
was flagged does not become usual the next day. A day is flagged when it is far outside of the spread, clearly above the
highest day of the last weeks, and the jump is a noticeable part of everything that is spent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from .dimensions import DIMENSIONS, checked
from .errors import ReportError
from .ledger import MOMENT, Type
from .totals import TIME, WIDE, add_up, bucket_of, collect, in_utc, labelled, literal, narrow, with_aliases, within
from .window import DAY, Window, midnight

LOOKED_AT = ("key", "end_user", "model")


@dataclass(frozen=True, slots=True)
class Judge:
    """When a day is flagged."""

    days: int = 28
    """How many unflagged days before it say what is usual."""
    least_days: int = 7
    """With fewer, a day of somebody new is flagged when it is `new_share` of what a usual day costs altogether. Who was
    there from the beginning of the window may be old."""
    score: float = 3.0
    """How many spreads above the usual."""
    above_highest: float = 1.3
    """How many times the highest of those days."""
    least_share: float = 0.005
    """The jump, as a part of what a usual day costs altogether."""
    new_share: float = 0.25
    usual_after: int = 7
    """Flagged days in a row after which the new level is the usual one."""

    def __post_init__(self) -> None:
        if self.days < self.least_days or self.least_days < 2 or self.score <= 0 or self.usual_after < 1:
            raise ReportError(
                "a judge of anomalies needs two days at least, a score above 0, and days from least_days up"
            )


class Flag(NamedTuple):
    """A day, by its number, that is out of the ordinary."""

    day: int
    expected: float
    score: float


def judged(values: Sequence[float], usual_total: float, judge: Judge, *, new: bool = False) -> list[Flag]:
    """The flagged days of one series, which begins with the first day of its subject.

    `usual_total` is what a usual day of everybody costs; `new` says that the first day is known to be the first.
    """
    found: list[Flag] = []
    usual: list[float] = []
    held: list[float] = []
    for day, value in enumerate(values):
        flag = _judge(value, usual[-judge.days :], usual_total, judge, new)
        if flag is None:
            usual += [*held, value] if len(held) >= judge.usual_after else [value]
            held = []
            continue
        held.append(value)
        if len(held) > judge.usual_after:
            usual += held
            held = []
            flag = _judge(value, usual[-judge.days :], usual_total, judge, new)
        if flag is not None:
            found.append(Flag(day, *flag))
    return found


def _judge(
    value: float, usual: Sequence[float], usual_total: float, judge: Judge, new: bool
) -> tuple[float, float] | None:
    """What was expected, and the score; None for a usual day."""
    if value <= 0:
        return None
    if len(usual) < judge.least_days:
        expected = median(usual) if usual else 0.0
        much = value - expected >= judge.new_share * usual_total and value > judge.above_highest * max(
            usual, default=0.0
        )
        return (expected, math.inf) if new and much and usual_total > 0 else None
    expected = median(usual)
    if value - expected < judge.least_share * usual_total or value <= judge.above_highest * max(usual):
        return None
    # A little is added to both, so that days of nothing have a logarithm; it is small beside a usual day.
    little = max(sum(usual) / len(usual) / 4, usual_total * 1e-4, 1.0)
    logs = [math.log((each + little) / (expected + little)) for each in usual]
    spread = max(1.4826 * median(abs(each) for each in logs), _quantile(logs, 0.95) / 1.645, 0.15)
    score = math.log((value + little) / (expected + little)) / spread
    return (expected, score) if score >= judge.score else None


def _quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(len(values) * part) - 1)]


# ── From the books ──────────────────────────────────────────────────────────────────────────────────────────────────────


def anomalies(
    frame: pl.LazyFrame,
    window: Window,
    by: Iterable[str] = LOOKED_AT,
    *,
    judge: Judge = Judge(),
    most_subjects: int = 200,
    contributors: int = 3,
) -> pl.DataFrame:
    """The flagged days of the window, the newest first, then the largest jump.

    Looked at are days of the window's zone, each of `by` (as far as the frame tells it) for itself, the `most_subjects`
    that cost most. The frame should reach back over the days that say what is usual (`reach`). `score` is in spreads,
    infinite for somebody new. `contributors` are the combinations of the other dimensions that the jump was made of,
    with their share of it; `words` says the same.
    """
    columns = frame.collect_schema()
    names = [name for name in checked(by) if DIMENSIONS[name] in columns]
    seen = reach(window, judge)
    tables = []
    for name in names:
        spent = add_up(frame, seen, {"cost_nano": pl.col("cost_nano")}, by=[name], every="day")
        flags = _flags(in_utc(spent.rename({name: "subject"})), seen, judge, most_subjects)
        first = min((bucket.start for bucket in window.buckets("day")), default=window.end)
        flags = flags.filter(pl.col(TIME) >= literal(first))
        if flags.height:
            others = [other for other in LOOKED_AT if other != name and DIMENSIONS[other] in columns]
            tables.append(_explained(frame, seen, name, flags, others, contributors))
    schema: dict[str, Type] = {
        TIME: MOMENT, "by": pl.String, "subject": pl.String, "key_alias": pl.String,
        "cost_nano": pl.Int64, "expected_nano": pl.Int64, "jump_nano": pl.Int64, "score": pl.Float64,
        "contributors": CONTRIBUTORS, "words": pl.String,
    }  # fmt: skip
    found = pl.concat([pl.DataFrame(schema=schema), *(table.select(list(schema)) for table in tables)])
    found = found.with_columns(pl.col(TIME).dt.convert_time_zone(window.zone))
    return found.sort(TIME, "jump_nano", "by", "subject", descending=[True, True, False, False], nulls_last=True)


def reach(window: Window, judge: Judge = Judge()) -> Window:
    """The window with the days before it that say what is usual."""
    first = window.start.astimezone(ZoneInfo(window.zone)).date() - judge.days * DAY
    return Window(midnight(first, window.zone), window.end, window.zone)


CONTRIBUTORS = pl.List(
    pl.Struct(
        {
            "key": pl.String,
            "end_user": pl.String,
            "model": pl.String,
            "cost_nano": pl.Int64,
            "jump_nano": pl.Int64,
            "share": pl.Float64,
        }
    )
)
"""What a jump was made of: the values of the other dimensions (null for the one that was looked at, and for what has
none), what they cost on that day, how much more than on a usual one, and which part of the whole jump that is."""


def _flags(spent: pl.DataFrame, window: Window, judge: Judge, most: int) -> pl.DataFrame:
    """The flagged days of the subjects that cost most, of what each cost on each day."""
    days = [bucket.start for bucket in window.buckets("day")]
    number = {day: place for place, day in enumerate(days)}
    total = [0] * len(days)
    for day, nano in spent.group_by(TIME).agg(pl.col("cost_nano").sum()).iter_rows():
        total[number[day]] = nano
    usual_total = float(median([nano for nano in total if nano] or [0]))
    begun = next((place for place, nano in enumerate(total) if nano), 0)
    named = spent.filter(pl.col("subject").is_not_null())
    dearest = (
        named.group_by("subject").agg(pl.col("cost_nano").sum()).top_k(most, by=["cost_nano", "subject"])["subject"]
    )
    rows = []
    for (subject,), mine in named.filter(pl.col("subject").is_in(dearest.implode())).group_by("subject"):
        values = [0] * len(days)
        for day, nano in zip(mine[TIME], mine["cost_nano"], strict=True):
            values[number[day]] = nano
        first = min((number[day] for day in mine[TIME]), default=0)
        flags = judged(values[first:], usual_total, judge, new=first >= begun + judge.least_days)
        flagged = {first + flag.day for flag in flags}
        for flag in flags:
            place, expected = first + flag.day, round(flag.expected)
            usual = [days[each] for each in range(max(first, place - judge.days), place) if each not in flagged]
            rows.append((days[place], subject, values[place], expected, values[place] - expected, flag.score, usual))
    schema: dict[str, Type] = {
        TIME: MOMENT, "subject": pl.String, "cost_nano": pl.Int64, "expected_nano": pl.Int64, "jump_nano": pl.Int64,
        "score": pl.Float64, "usual_days": pl.List(MOMENT),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _explained(
    frame: pl.LazyFrame, window: Window, name: str, flags: pl.DataFrame, others: list[str], most: int
) -> pl.DataFrame:
    """The flags with their contributors: for each combination of the other dimensions the day less the mean of the
    usual days before it."""
    column = DIMENSIONS[name]
    cells = [bucket_of(window, "day").alias(TIME), pl.col(column).alias("subject")]
    cells += [pl.col(DIMENSIONS[other]).alias(other) for other in others]
    concerned = within(frame, window).filter(pl.col(column).is_in(flags["subject"].unique().implode()))
    spent = collect(concerned.group_by(cells).agg(pl.col("cost_nano").cast(WIDE).sum()))
    told = in_utc(labelled(narrow(spent, ["cost_nano"]), window, "day"))
    made = [
        _made_of(told.filter(pl.col("subject") == flag["subject"]), flag, others, most) for flag in flags.to_dicts()
    ]
    found = flags.with_columns(
        pl.lit(name).alias("by"),
        pl.Series("contributors", made, dtype=CONTRIBUTORS),
        pl.Series("words", [_words(each) for each in made], dtype=pl.String),
    )
    if name != "key":
        return found.with_columns(pl.lit(None, pl.String).alias("key_alias"))
    return with_aliases(found.rename({"subject": "key"}), frame, window).rename({"key": "subject"})


def _made_of(spent: pl.DataFrame, flag: dict[str, Any], others: list[str], most: int) -> list[dict[str, Any]]:
    if not others:
        return []
    usual_days = pl.Series(flag["usual_days"], dtype=MOMENT)
    before = (
        spent.filter(pl.col(TIME).is_in(usual_days.implode())).group_by(others).agg(usual=pl.col("cost_nano").sum())
    )
    day = spent.filter(pl.col(TIME) == flag[TIME]).join(before, on=others, how="left", nulls_equal=True)
    usual = pl.col("usual").fill_null(0) / max(len(usual_days), 1)
    more = day.with_columns(jump_nano=(pl.col("cost_nano") - usual).round().cast(pl.Int64)).filter(
        pl.col("jump_nano") > 0
    )
    names = [*others, "cost_nano", "jump_nano"]
    top = more.sort("jump_nano", *others, descending=[True, *(False for _ in others)], nulls_last=True).head(most)
    return [
        dict.fromkeys(LOOKED_AT) | row | {"share": row["jump_nano"] / flag["jump_nano"]}
        for row in top.select(names).to_dicts()
    ]


def _words(made: list[dict[str, Any]]) -> str:
    """Such as "end user ada + model gpt-5 = 82 % of the jump"."""
    told = []
    for each in made:
        named = [f"{name.replace('_', ' ')} {each[name]}" for name in LOOKED_AT if each[name] is not None]
        told.append(f"{' + '.join(named) or 'calls without a name'} = {min(each['share'], 1.0):.0%} of the jump")
    return "; ".join(told)
