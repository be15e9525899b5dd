"""A believable ledger of any size, as Parquet with one file for each day.

    python -m bench.ledger /tmp/books --rows 10_000_000              30 days
    python -m bench.ledger /tmp/books --rows 50_000_000 --days 30

200 keys in 40 teams, 50,000 end users, 25 models of 6 providers, conversations that grow and are read from a cache,
retries, fallbacks, hedges, hang-ups, refusals, a model without a price, reported outcomes. The same seed gives the same
rows. Sums hold as in real books: kinds of tokens add up, parts of a cost add up to it, exactly one row of a call is the
one that answered.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tollbook_analytics.ledger import LEDGER

Whole = npt.NDArray[np.int64]
Real = npt.NDArray[np.float64]

KEYS, TEAMS, USERS, TAGS = 200, 40, 50_000, 12

SPEED = (
    ("openai", 450, 80),
    ("anthropic", 700, 65),
    ("gemini", 500, 120),
    ("azure", 520, 75),
    ("bedrock", 800, 55),
    ("openai_like", 150, 200),
)
"""Providers, with the median milliseconds to the first output and the tokens a second."""

MODELS: tuple[tuple[str, str, int, int, int, int], ...] = (
    ("gpt-5", "openai", 1_250_000, 125_000, 0, 10_000_000),
    ("gpt-5-mini", "openai", 250_000, 25_000, 0, 2_000_000),
    ("gpt-5-nano", "openai", 50_000, 5_000, 0, 400_000),
    ("gpt-4.1", "openai", 2_000_000, 500_000, 0, 8_000_000),
    ("gpt-4.1-mini", "openai", 400_000, 100_000, 0, 1_600_000),
    ("gpt-4o", "openai", 2_500_000, 1_250_000, 0, 10_000_000),
    ("gpt-4o-mini", "openai", 150_000, 75_000, 0, 600_000),
    ("o3", "openai", 2_000_000, 500_000, 0, 8_000_000),
    ("o4-mini", "openai", 1_100_000, 275_000, 0, 4_400_000),
    ("claude-opus-4-5", "anthropic", 5_000_000, 500_000, 6_250_000, 25_000_000),
    ("claude-sonnet-4-5", "anthropic", 3_000_000, 300_000, 3_750_000, 15_000_000),
    ("claude-haiku-4-5", "anthropic", 1_000_000, 100_000, 1_250_000, 5_000_000),
    ("gemini-2.5-pro", "gemini", 1_250_000, 310_000, 0, 10_000_000),
    ("gemini-2.5-flash", "gemini", 300_000, 75_000, 0, 2_500_000),
    ("gemini-2.5-flash-lite", "gemini", 100_000, 25_000, 0, 400_000),
    ("azure-gpt-4.1", "azure", 2_000_000, 500_000, 0, 8_000_000),
    ("azure-gpt-4o-mini", "azure", 150_000, 75_000, 0, 600_000),
    ("azure-o4-mini", "azure", 1_100_000, 275_000, 0, 4_400_000),
    ("bedrock-sonnet", "bedrock", 3_000_000, 300_000, 3_750_000, 15_000_000),
    ("bedrock-haiku", "bedrock", 1_000_000, 100_000, 1_250_000, 5_000_000),
    ("bedrock-nova", "bedrock", 800_000, 200_000, 0, 3_200_000),
    ("llama-70b", "openai_like", 600_000, 600_000, 0, 800_000),
    ("qwen-32b", "openai_like", 200_000, 200_000, 0, 600_000),
    ("mixtral", "openai_like", 500_000, 500_000, 0, 700_000),
    ("house-experiment", "openai_like", 0, 0, 0, 0),
)
"""Name, provider, and rates in pico-USD per token: input, cache read, cache write, output. Without rates a model is unpriced."""

PROVIDERS = tuple(name for name, _, _ in SPEED)
NAMES = tuple(name for name, *_ in MODELS)
KINDS = (
    "rate_limit",
    "overloaded",
    "timeout",
    "connection",
    "server",
    "bad_request",
    "context_length",
    "content_filter",
)


@dataclass(frozen=True)
class World:
    """Who uses what: the same on every day."""

    team_of_key: Whole
    weight_of_key: Real
    models_of_key: Whole
    """Four models for each key."""
    users_of_key: Whole
    """The first end user of each key, whose users are the ones after it."""
    many_users_of_key: Whole
    rates: Whole


def world(seed: int = 7) -> World:
    """Keys of very different weight, each with its few models and its users."""
    chance = np.random.default_rng(seed)
    weight = 1.0 / (1 + chance.permutation(KEYS)) ** 0.9
    popular = 1.0 / (1 + chance.permutation(len(MODELS))) ** 0.8
    models = np.stack([chance.choice(len(MODELS), 4, replace=False, p=popular / popular.sum()) for _ in range(KEYS)])
    share = weight / weight.sum()
    many = np.maximum(3, (share * USERS * 1.5).astype(np.int64))
    return World(
        team_of_key=chance.integers(0, TEAMS, KEYS),
        weight_of_key=share,
        models_of_key=models,
        users_of_key=(chance.random(KEYS) * (USERS - many)).astype(np.int64),
        many_users_of_key=many,
        rates=np.array([rates for _, _, *rates in MODELS], dtype=np.int64),
    )


def day(of: date, rows: int, *, known: World, seed: int = 7) -> pl.DataFrame:
    """About `rows` attempts that started on one day (UTC), in the order of time."""
    chance = np.random.default_rng([seed, of.toordinal()])
    weekday = 0.55 if of.weekday() > 4 else 1.18
    made = _conversations(chance, int(rows * weekday / 1.045), known)
    frame = _calls(chance, made, of, known)
    lost = _lost(frame)
    return pl.concat([frame, lost]).sort("started", "call_id", "attempt")


def _conversations(chance: np.random.Generator, calls: int, known: World) -> dict[str, Whole | Real]:
    """One entry for each call: to which conversation it belongs, its turn, and what it is about."""
    turns = np.minimum(chance.geometric(0.32, int(calls * 0.33) + 8), 60)
    turns = turns[: int(np.searchsorted(np.cumsum(turns), calls)) + 1]
    many = len(turns)
    session = np.repeat(np.arange(many), turns)
    first = np.cumsum(turns) - turns
    turn = np.arange(len(session)) - first[session] + 1
    key = chance.choice(KEYS, many, p=known.weight_of_key)
    user = known.users_of_key[key] + (chance.power(0.35, many) * known.many_users_of_key[key]).astype(np.int64)
    model = known.models_of_key[key, chance.choice(4, many, p=[0.6, 0.25, 0.1, 0.05])]
    # Two humps of a working day on a base that never sleeps.
    hump = chance.choice(3, many, p=[0.25, 0.4, 0.35])
    hour = np.where(
        hump == 0,
        chance.random(many) * 24,
        np.where(hump == 1, chance.normal(10, 1.6, many), chance.normal(15.5, 2, many)),
    )
    gap = chance.exponential(70, len(session))
    waited = np.cumsum(gap) - np.repeat(np.cumsum(gap)[first] - 0.0, turns)
    second = (hour[session] % 24) * 3600 + waited
    second = np.where(second >= 86_400, 86_399.9 - chance.random(len(session)) * 60, second)
    return {
        "session": session,
        "turn": turn,
        "gap": gap,
        "second": second,
        "key": key[session],
        "user": user[session],
        "model": model[session],
        "first": first[session],
    }


def _calls(chance: np.random.Generator, made: dict[str, Any], of: date, known: World) -> pl.DataFrame:
    """The attempts that answered, or were the last."""
    many = len(made["turn"])
    turn, model = made["turn"], made["model"]
    providers = np.array([PROVIDERS.index(provider) for _, provider, *_ in MODELS])[model]
    output = np.minimum(chance.lognormal(5.3, 0.9, many), 16_000).astype(np.int64) + 1
    said = np.minimum(chance.lognormal(4.6, 1.1, many), 60_000).astype(np.int64) + 3
    system = (300 + (made["key"] * 7919) % 4000).astype(np.int64)
    # What a turn sends: the instructions, and everything that was said in the conversation before it.
    together = np.cumsum(said + output)
    history = together - (together - said - output)[made["first"]] - output
    sent = system + history
    reads = (turn > 1) & (made["gap"] < 300) & (chance.random(many) < 0.8) & (sent > 1024)
    before = np.where(turn > 1, sent - said, 0)
    read = np.where(reads, before * 9 // 10, 0)
    writes = (known.rates[model, 2] > 0) & ~reads & (sent > 1024)
    written = np.where(writes, sent * 8 // 10, 0)
    fresh = sent - read - written
    thinks = np.isin(model, [0, 1, 2, 7, 8, 9, 12]) & (chance.random(many) < 0.7)
    reasoning = np.where(thinks, output * 6 // 10, 0)
    visible = output - reasoning

    fate = chance.random(many)
    outcome = np.select(
        [fate < 0.008, fate < 0.014, fate < 0.03, fate < 0.045, fate < 0.05],
        ["rejected", "failed", "client_disconnected", "incomplete", "cancelled"],
        "completed",
    )
    reached, failed = outcome != "rejected", outcome == "failed"
    spent = reached & ~failed
    tokens = {
        "uncached_input_tokens": fresh,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "visible_output_tokens": visible,
        "reasoning_tokens": reasoning,
        "input_tokens": sent,
        "output_tokens": output,
    }
    tokens = {name: np.where(spent, found, 0) for name, found in tokens.items()}
    rates = known.rates[model]
    priced = rates[:, 3] > 0
    costs = {
        "cost_input_nano": tokens["uncached_input_tokens"] * rates[:, 0] // 1000,
        "cost_cache_read_nano": tokens["cache_read_tokens"] * rates[:, 1] // 1000,
        "cost_cache_write_nano": tokens["cache_write_tokens"] * rates[:, 2] // 1000,
        "cost_output_nano": tokens["visible_output_tokens"] * rates[:, 3] // 1000,
        "cost_reasoning_nano": tokens["reasoning_tokens"] * rates[:, 3] // 1000,
        "cost_tools_nano": np.where(spent & (chance.random(many) < 0.02), 10_000_000, 0),
        "cost_other_nano": np.zeros(many, np.int64),
    }
    total = sum(costs.values())
    speed = np.array([[first, each] for _, first, each in SPEED])[providers]
    first_output = speed[:, 0] * chance.lognormal(0, 0.45, many) * (1 + tokens["uncached_input_tokens"] / 40_000)
    duration = first_output + output / (speed[:, 1] * chance.lognormal(0, 0.2, many)) * 1000
    duration = np.where(reached, duration, chance.random(many) * 8)
    how = chance.random(many)
    reason = np.select([how < 0.022, how < 0.032, how < 0.037], ["retry", "fallback", "hedge"], "initial")
    stream = chance.random(many) < 0.62
    judged = chance.random(many)

    midnight = np.datetime64(datetime(of.year, of.month, of.day), "us").astype(np.int64)  # noqa: DTZ001 - numpy knows no zones
    started = midnight + (made["second"] * 1e6).astype(np.int64)
    serial = of.toordinal() * 100_000_000 + np.arange(many)
    session = of.toordinal() * 100_000_000 + made["first"]
    indexes = pl.DataFrame(
        {
            "at": started,
            "serial": serial,
            "first": session,
            "many": turn,
            "key": made["key"],
            "team_number": known.team_of_key[made["key"]],
            "user": made["user"],
            "model_number": model,
            "provider_number": providers,
            "outcome": outcome,
            "reached": reached,
            "priced": priced,
            "spent": spent,
            "reason": reason,
            "streamed": stream,
            "judged": judged,
            "kind": chance.integers(0, 5, many),
            "tag": chance.integers(0, TAGS, many),
            "deployment_number": chance.integers(0, 2, many),
            "nano": total,
            "first_output": first_output,
            "duration": duration,
            "rate": rates[:, 0],
            "truncated": chance.random(many) < 0.75,
            **tokens,
            **costs,
        }
    )
    return _named(indexes)


def _of(names: tuple[str, ...] | list[str], column: str) -> pl.Expr:
    return pl.lit(pl.Series(names, dtype=pl.String)).gather(pl.col(column))


def _hex(prefix: str, column: str) -> pl.Expr:
    """An id as the gateway makes it: time first, so that neighbours look alike, then what looks like chance."""
    scattered = pl.col(column).hash(1).cast(pl.String).str.zfill(20)
    return pl.format("{}{}{}", pl.lit(prefix), pl.col(column).cast(pl.String).str.zfill(14), scattered)


def _named(made: pl.DataFrame) -> pl.DataFrame:
    reached, spent, priced = pl.col("reached"), pl.col("spent"), pl.col("priced")
    ended = pl.col("outcome")
    failed = ended == "failed"
    multi = reached & (pl.col("reason") != "initial")
    known = {
        "call_id": _hex("call_", "serial"),
        "started": pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        "operation": pl.lit("create"),
        "outcome": ended,
        "status": pl.when(ended == "rejected").then(429).when(failed).then(502).otherwise(200).cast(pl.Int64),
        "stream": pl.col("streamed"),
        "key_id": _of([f"key_{number:032x}" for number in range(KEYS)], "key"),
        "key_alias": _of([f"key-{number:03d}" for number in range(KEYS)], "key"),
        "team": _of([f"team-{number:02d}" for number in range(TEAMS)], "team_number"),
        "end_user": pl.when(pl.col("user") % 9 != 0).then(pl.format("user-{}", pl.col("user"))),
        "tags": pl.when(pl.col("tag") < 3)
        .then(pl.concat_list(pl.format("feature-{}", pl.col("tag")), pl.lit("production")))
        .when(pl.col("tag") < 9)
        .then(pl.concat_list(pl.format("feature-{}", pl.col("tag"))))
        .otherwise(pl.lit([], dtype=pl.List(pl.String))),
        "model": _of(list(NAMES), "model_number"),
        "response_id": pl.when(reached).then(_hex("resp_", "serial")),
        "previous_response_id": pl.when(reached & (pl.col("many") > 1)).then(_hex("resp_", "before")),
        "session_id": pl.when(reached).then(_hex("resp_", "first")),
        "turn": pl.when(reached).then(pl.col("many")),
        "trace_id": pl.col("serial").hash(2).cast(pl.String).str.zfill(20),
        "task": pl.when(pl.col("judged") < 0.12).then(pl.format("task-{}", pl.col("first"))),
        "success": pl.when((pl.col("judged") < 0.12) & reached).then(
            (pl.col("judged") < 0.09) & (ended == "completed")
        ),
        "error_code": pl.when(ended == "rejected")
        .then(pl.lit("rate_limit_exceeded"))
        .when(failed)
        .then(pl.lit("server_error")),
        "finish": pl.when(failed)
        .then(pl.lit("error"))
        .when((ended == "incomplete") & pl.col("truncated"))
        .then(pl.lit("length"))
        .when(ended == "incomplete")
        .then(pl.lit("content_filter"))
        .when(ended == "completed")
        .then(pl.lit("stop")),
        "attempts": pl.when(multi).then(2).when(reached).then(1).otherwise(0).cast(pl.Int64),
        "attempt": pl.when(multi).then(2).when(reached).then(1).cast(pl.Int64),
        "answered": pl.lit(True),
        "reason": pl.when(reached).then(pl.col("reason")),
        "deployment": pl.when(reached).then(
            pl.format("{}/{}", _of(list(NAMES), "model_number"), pl.col("deployment_number"))
        ),
        "provider": pl.when(reached).then(_of(list(PROVIDERS), "provider_number")),
        "upstream_model": pl.when(reached).then(_of([f"{name}-2026" for name in NAMES], "model_number")),
        "requested_tier": pl.lit(None, pl.String),
        "service_tier": pl.when(reached).then(pl.lit("default")),
        "attempt_outcome": pl.when(reached).then(ended),
        "error_kind": pl.when(failed).then(_of(list(KINDS), "kind")),
        "usage_source": pl.when(~spent)
        .then(pl.lit("none"))
        .when(ended.is_in(["client_disconnected", "cancelled"]))
        .then(pl.lit("estimated"))
        .otherwise(pl.lit("provider")),
        "cost_status": pl.when(reached).then(pl.when(priced).then(pl.lit("priced")).otherwise(pl.lit("unpriced"))),
        "cost_nano": pl.when(reached & priced).then(pl.col("nano")),
        **{
            name: pl.when(reached & priced).then(pl.col(name))
            for name in LEDGER
            if name.startswith("cost_") and name.endswith("_nano") and name != "cost_nano"
        },
        "margin_nano": pl.lit(0, pl.Int64),
        "input_rate_pico": pl.when(reached & priced).then(pl.col("rate")),
        "price_version": pl.when(reached & priced).then(pl.lit("genai-prices 0.2.3")),
        "price_source": pl.when(reached & priced).then(pl.lit("catalogue")),
        "duration_ms": pl.col("duration").round(3),
        "first_output_ms": pl.when(spent).then(pl.col("first_output").round(3)),
        "attempt_started": pl.when(reached).then(pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")),
        "attempt_ms": pl.when(reached).then(pl.col("duration").round(3)),
        "attempt_first_byte_ms": pl.when(reached).then((pl.col("first_output") * 0.8).round(3)),
        "replayed": pl.col("reason") == "fallback",
    }
    made = made.with_columns((pl.col("serial") - 1).alias("before"))
    columns = [
        (known[name] if name in known else pl.col(name) if name in made.columns else pl.lit(0)).cast(kind).alias(name)
        for name, kind in LEDGER.items()
    ]
    return made.lazy().select(columns).collect()


def _lost(calls: pl.DataFrame) -> pl.DataFrame:
    """The attempts before those that were a retry, a fallback or a hedge: what they used was paid for as well."""
    first = calls.lazy().filter(pl.col("attempt") == 2)
    hedged = pl.col("reason") == "hedge"
    nothing = [name for name, kind in LEDGER.items() if name.endswith(("_tokens", "_nano")) and kind == pl.Int64]
    gone = first.with_columns(
        pl.lit(1, pl.Int64).alias("attempt"),
        pl.lit(False).alias("answered"),
        pl.lit("initial").alias("reason"),
        pl.when(hedged).then(pl.lit("cancelled")).otherwise(pl.lit("failed")).alias("attempt_outcome"),
        pl.when(~hedged)
        .then(pl.lit(pl.Series(KINDS)).gather((pl.col("status") + pl.col("turn")) % 5))
        .alias("error_kind"),
        pl.when(hedged).then(pl.lit("estimated")).otherwise(pl.lit("none")).alias("usage_source"),
        *(pl.when(hedged).then(pl.col(name)).otherwise(pl.col(name) * 0).alias(name) for name in nothing),
        (pl.col("attempt_ms") * 0.6).alias("attempt_ms"),
    )
    return gone.select(list(LEDGER)).collect()


def write_day(file: Path, of: date, rows: int, known: World, seed: int = 7) -> int:
    """Write one day; answers how many rows it has."""
    frame = day(of, rows, known=known, seed=seed)
    frame.write_parquet(file, compression="zstd", compression_level=3, row_group_size=131_072)
    return frame.height


def write(folder: Path, rows: int, days: int, *, last: date = date(2026, 11, 24), seed: int = 7) -> int:
    """Write `days` files that end with `last`; answers how many rows they have in all."""
    folder.mkdir(parents=True, exist_ok=True)
    known = world(seed)
    of_days = [last - timedelta(days=days - 1 - number) for number in range(days)]
    return sum(write_day(folder / f"{of}.parquet", of, rows // days, known, seed) for of in of_days)


def main() -> None:
    """Write a ledger and say what it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    began = time.process_time()
    total = write(arguments.folder, arguments.rows, arguments.days, seed=arguments.seed)
    size = sum(file.stat().st_size for file in arguments.folder.glob("*.parquet"))
    print(f"{total:,} rows in {arguments.days} files, {size / 1e6:,.0f} MB, {time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
