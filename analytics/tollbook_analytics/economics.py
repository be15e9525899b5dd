"""What a unit of work costs: a call, an active end user, a task, a task that succeeded."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from .dimensions import checked
from .measures import ANSWERED, MONEY, counted, known
from .totals import TIME, WIDE, add_up, collect, grouped, labelled, narrow, ordered
from .window import Every, Window


def economics(frame: pl.LazyFrame, window: Window, by: Iterable[str] = (), every: Every | None = None) -> pl.DataFrame:
    """Unit costs for each group.

    A task is what calls name together (`task`), or a single call whose outcome was reported. It is `judged` when an outcome was
    reported, by the latest one; `nano_per_success` is what all judged tasks cost, the failed ones included, for each that
    succeeded. `nano_per_user` is of calls that name an end user. Costs are of what is known; `unpriced` counts the rest.
    """
    names = checked(by)
    named = pl.col("end_user").is_not_null()
    sums = {"calls": counted(ANSWERED), **MONEY, "of_users_nano": pl.when(named).then("cost_nano")}
    found = known(add_up(frame, window, sums, by=names, every=every))
    keys = [*([TIME] if every else []), *names]
    for table in (_users(frame, window, names, every), _tasks(frame, window, names, every)):
        told = labelled(table, window, every) if every else table
        found = (
            found.join(told, on=keys, how="left", nulls_equal=True)
            if keys
            else pl.concat([found, told], how="horizontal")
        )
    whole = ["users", "tasks", "judged", "succeeded", "tasks_nano", "judged_nano"]
    found = found.with_columns(pl.col(whole).fill_null(0)).with_columns(
        _each("cost_nano", "calls", "nano_per_call"),
        _each("of_users_nano", "users", "nano_per_user"),
        _each("tasks_nano", "tasks", "nano_per_task"),
        _each("judged_nano", "succeeded", "nano_per_success"),
        pl.when(pl.col("judged") > 0).then(pl.col("succeeded") / pl.col("judged")).alias("success_share"),
    )
    shown = ["calls", "cost_nano", "unpriced", "nano_per_call", "users", "nano_per_user", "tasks", "nano_per_task"]
    columns = [name for name in found.columns if name in (*keys, "key_alias")]
    return ordered(found, *names).select(
        *columns, *shown, "judged", "succeeded", "success_share", "judged_nano", "nano_per_success"
    )


def _users(frame: pl.LazyFrame, window: Window, names: tuple[str, ...], every: Every | None) -> pl.DataFrame:
    selected, keys = grouped(frame, window, names, every)
    told = selected.filter(pl.col("end_user").is_not_null()).select(**keys, _user="end_user")
    users = pl.col("_user").n_unique().cast(pl.Int64).alias("users")
    return collect(told.group_by(list(keys)).agg(users) if keys else told.select(users))


def _tasks(frame: pl.LazyFrame, window: Window, names: tuple[str, ...], every: Every | None) -> pl.DataFrame:
    selected, keys = grouped(frame, window, names, every)
    judged = pl.col("success").is_not_null()
    # The latest outcome as one number, which a single pass can find the largest of: the time, then whether it was a success.
    verdict = pl.when(judged).then(pl.col("started").to_physical() * 2 + pl.col("success").cast(pl.Int64))
    told = selected.filter(judged | pl.col("task").is_not_null()).select(
        **keys, _task=pl.coalesce("task", pl.format("call:{}", "call_id")), _verdict=verdict, _nano="cost_nano"
    )
    tasks = told.group_by(*keys, "_task").agg(pl.col("_nano").cast(WIDE).sum(), pl.col("_verdict").max())
    known_outcome = pl.col("_verdict").is_not_null()
    sums = [
        pl.len().cast(pl.Int64).alias("tasks"),
        known_outcome.sum().cast(pl.Int64).alias("judged"),
        (pl.col("_verdict") % 2 == 1).sum().cast(pl.Int64).alias("succeeded"),
        pl.col("_nano").sum().alias("tasks_nano"),
        pl.when(known_outcome).then("_nano").sum().alias("judged_nano"),
    ]
    return narrow(
        collect(tasks.group_by(list(keys)).agg(sums) if keys else tasks.select(sums)), ["tasks_nano", "judged_nano"]
    )


def _each(nano: str, units: str, name: str) -> pl.Expr:
    return pl.when(pl.col(units) > 0).then((pl.col(nano) / pl.col(units)).round().cast(pl.Int64)).alias(name)
