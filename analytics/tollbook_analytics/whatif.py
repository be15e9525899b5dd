"""What the same traffic would have cost elsewhere: other models, tiers, or another use of the cache.

Tokens are added up by kind and priced once, exactly, in whole pico-USD. Nothing is sent, and nothing about answers is known: a
`Plan` says what it assumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import polars as pl

from .errors import ReportError, TooCoarse
from .ledger import TOKENS, Type
from .measures import ANSWERED, ATTEMPTED, PRICED, UNPRICED, counted
from .totals import add_up
from .window import Window

Cache: TypeAlias = Literal["same", "none", "full"]

RATES: Mapping[str, Type] = {
    "model": pl.String,
    "tier": pl.String,
    "above": pl.Int64,
    "input": pl.Int64,
    "cache_read": pl.Int64,
    "cache_write": pl.Int64,
    "cache_write_1h": pl.Int64,
    "output": pl.Int64,
    "reasoning": pl.Int64,
}
"""A table of rates, in whole pico-USD per token: one row for each model, tier (null: standard) and step. A step holds for
the whole request as soon as its input exceeds `above` tokens (0 or null: from the first). Of a row only `model`, `input`
and `output` must be there: cached tokens without a rate of their own cost plain input, reasoning costs output."""

_KINDS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
_FALLS_BACK = {"cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write", "reasoning": "output"}
_COLUMNS = dict(zip(_KINDS, (*TOKENS[:4], "visible_output_tokens", "reasoning_tokens"), strict=True))
_MEDIA = tuple(name for name in TOKENS if name not in _COLUMNS.values())


@dataclass(frozen=True, slots=True)
class Swap:
    """Traffic of a public model (None: all that no other swap names) that goes `to` a model of the table, in a `tier` of it."""

    model: str | None
    to: str
    tier: str | None = None
    input_percent: int = 100
    """How many tokens the other model counts for 100 of this one's input."""
    output_percent: int = 100
    """The same of output and reasoning: tokenizers differ, and so do answers."""
    cache: Cache = "same"
    """Whether the cache is used as it was, not at all, or also for what follow-up turns repeated without it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes where. Raises ReportError for a percentage below 0, or two swaps of one model."""

    swaps: tuple[Swap, ...]
    repeated_percent: int = 80
    """With the cache "full": how much of the uncached input of follow-up turns had been sent before."""

    def __post_init__(self) -> None:
        if not self.swaps:
            raise ReportError("a plan without a swap changes nothing")
        twice = [swap.model for swap in self.swaps if sum(other.model == swap.model for other in self.swaps) > 1]
        if twice:
            raise ReportError(f"two swaps take the traffic of {twice[0] or 'all other models'}")
        if any(swap.input_percent < 0 or swap.output_percent < 0 for swap in self.swaps):
            raise ReportError("a percentage of tokens is below 0")
        if not 0 <= self.repeated_percent <= 100:
            raise ReportError("repeated_percent is a whole percentage from 0 to 100")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """In words, for whoever reads the numbers."""
        told = [
            "the other model would have been asked the same and have succeeded and failed alike",
            "hosted tools, fees for requests, discounts and surcharges stay as they were; margins are left out",
            "attempts with audio or images are left out of both sums (left_out)",
        ]
        for swap in self.swaps:
            name = f"{swap.model or 'everything else'} → {swap.to}"
            if (swap.input_percent, swap.output_percent) == (100, 100):
                told.append(f"{name}: the same number of tokens, though tokenizers differ")
            else:
                told.append(
                    f"{name}: {swap.input_percent} % of the input and {swap.output_percent} % of the output tokens"
                )
            match swap.cache:
                case "same":
                    told.append(f"{name}: what was read from and written to a cache would be so there")
                case "none":
                    told.append(f"{name}: nothing is read from or written to a cache")
                case _:
                    told.append(
                        f"{name}: {self.repeated_percent} % of the uncached input of follow-up turns is read from the cache"
                    )
        return tuple(told)


def what_if(frame: pl.LazyFrame, window: Window, rates: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """A row for each public model that the plan moves: what its traffic cost (`now_nano`) and would have cost (`then_nano`).

    Both are of attempts whose cost is known and that used no audio or images; `unpriced` and `left_out` count the others.
    `then_nano` is rounded once. With a table whose steps begin above 0 the ledger itself is needed.
    """
    table = _table(rates)
    steps = {swap: _steps(table, swap) for swap in plan.swaps}
    sums = _sums()
    edges = sorted({step["edge"] for found in steps.values() for step in found if step["edge"] > 0})
    size = pl.sum_horizontal(pl.lit(0), *((pl.col("input_tokens") > edge).cast(pl.Int64) for edge in edges))
    sized = {"step": size} if edges else {}
    if edges and "call_id" not in frame.collect_schema():
        raise TooCoarse(
            f"rates that change above {edges[0]:,} input tokens need single attempts: ask the ledger, not its hours"
        )
    found = add_up(frame, window, sums, by=["model"], also=sized)
    by_model: dict[str | None, list[dict[str, Any]]] = {}
    for row in found.to_dicts():
        by_model.setdefault(row["model"], []).append(row)
    named = {swap.model: swap for swap in plan.swaps}
    rows = []
    for model, parts in by_model.items():
        swap = named.get(model) or named.get(None)
        if swap is None:
            continue
        then = sum(_price(part, swap, plan, _step(steps[swap], edges, part.get("step", 0))) for part in parts)
        whole = {name: sum(part[name] for part in parts) for name in sums}
        now, kept = whole["now_nano"], whole["kept_nano"]
        then_nano = _rounded(then) + kept
        known = whole["compared"] > 0 or whole["unpriced"] + whole["left_out"] == 0
        rows.append(
            (model, swap.to, swap.tier, whole["calls"], whole["compared"], whole["tokens"])
            + (
                (now, then_nano, then_nano - now, (then_nano - now) / now if now else None)
                if known
                else (None, None, None, None)
            )
            + (whole["unpriced"], whole["left_out"])
        )
    schema = {
        "model": pl.String, "to": pl.String, "tier": pl.String, "calls": pl.Int64, "attempts": pl.Int64, "tokens": pl.Int64,
        "now_nano": pl.Int64, "then_nano": pl.Int64, "difference_nano": pl.Int64, "change_share": pl.Float64,
        "unpriced": pl.Int64, "left_out": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row").sort("difference_nano", "model", nulls_last=True)


def _sums() -> dict[str, pl.Expr]:
    media = pl.sum_horizontal(_MEDIA) > 0
    compared = ATTEMPTED & PRICED & ~media
    tokens = {kind: pl.when(compared).then(column) for kind, column in _COLUMNS.items()}
    follow_up = {"follow_up": pl.when(compared).then("follow_up_uncached_tokens")}
    money = {
        "now_nano": pl.when(compared).then("cost_nano"),
        "kept_nano": pl.when(compared).then(pl.sum_horizontal("cost_tools_nano", "cost_other_nano")),
    }
    counts = {
        "calls": counted(ANSWERED),
        "compared": counted(compared),
        "tokens": pl.when(compared).then(pl.col("input_tokens") + pl.col("output_tokens")),
        "unpriced": counted(UNPRICED),
        "left_out": counted(ATTEMPTED & PRICED & media),
    }
    return tokens | follow_up | money | counts


def _price(row: Mapping[str, Any], swap: Swap, plan: Plan, rates: Mapping[str, int]) -> int:
    """Pico-USD times 10,000, exactly: two percentages are taken of each number."""
    tokens = {kind: row[kind] * 100 for kind in _KINDS}
    if swap.cache == "none":
        tokens["input"] += sum(tokens.pop(kind) for kind in ("cache_read", "cache_write", "cache_write_1h"))
    elif swap.cache == "full":
        repeated = row["follow_up"] * plan.repeated_percent
        tokens["input"] -= repeated
        tokens["cache_read"] += repeated
    percent = {kind: swap.output_percent if kind in ("output", "reasoning") else swap.input_percent for kind in tokens}
    return sum(int(many) * percent[kind] * rates[kind] for kind, many in tokens.items())


def _rounded(pico: int) -> int:
    """Ten-thousandths of pico-USD as nano-USD, half to even."""
    whole, rest = divmod(pico, 10_000_000)
    return whole + (rest > 5_000_000 or (rest == 5_000_000 and whole % 2 == 1))


def _table(rates: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows, complete. Raises ReportError for a table that cannot be used, naming the model."""
    if missing := [name for name in ("model", "input", "output") if name not in rates.columns]:
        raise ReportError(f"the rates are without {', '.join(missing)}: a row has {', '.join(RATES)}")
    if fractions := [name for name, kind in rates.schema.items() if name in RATES and kind.is_float()]:
        raise ReportError(f"rates are whole pico-USD per token, and {', '.join(fractions)} has fractions")
    try:
        rows = rates.select(
            (pl.col(name) if name in rates.columns else pl.lit(None)).cast(kind).alias(name)
            for name, kind in RATES.items()
        )
    except pl.exceptions.PolarsError as error:
        raise ReportError(f"the rates cannot be read: {error}") from error
    told = rows.to_dicts()
    for row in told:
        row["above"] = row["above"] or 0
        if row["model"] is None or row["input"] is None or row["output"] is None:
            raise ReportError(f"the rates of {row['model'] or 'a row without a model'} lack model, input or output")
        for kind, other in _FALLS_BACK.items():
            row[kind] = row[other] if row[kind] is None else row[kind]
        if negative := [name for name in (*_KINDS, "above") if row[name] < 0]:
            raise ReportError(f"the rates of {row['model']} are below 0: {', '.join(negative)}")
    return told


def _steps(table: Sequence[dict[str, Any]], swap: Swap) -> list[dict[str, Any]]:
    """The steps of a model in a tier, from the first token up. `edge` is where a step begins in tokens as they were counted."""
    found = sorted(
        (row for row in table if (row["model"], row["tier"]) == (swap.to, swap.tier)), key=lambda row: row["above"]
    )
    tier = f" in the tier {swap.tier}" if swap.tier else ""
    if not found or found[0]["above"] != 0:
        raise ReportError(
            f"there are no rates of {swap.to}{tier}: the table has {', '.join(sorted({row['model'] for row in table})) or 'none'}"
        )
    if len({row["above"] for row in found}) < len(found):
        raise ReportError(f"{swap.to}{tier} has two rates above the same number of tokens")
    if swap.input_percent == 0:
        return [{**found[0], "edge": 0}]
    return [{**row, "edge": row["above"] * 100 // swap.input_percent} for row in found]


def _step(steps: Sequence[dict[str, Any]], edges: Sequence[int], passed: int) -> dict[str, Any]:
    """The step of requests whose input exceeded so many of the edges."""
    highest = edges[passed - 1] if passed else 0
    return [row for row in steps if row["edge"] <= highest][-1]
