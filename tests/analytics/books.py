"""Small ledgers to report on: by hand, or by chance; and what a report of sums must say of them, worked out row by row."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from tollbook_analytics.ledger import COSTS, LEDGER, TOKENS
from tollbook_analytics.window import Window

Row = dict[str, Any]

START = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = Window(START, datetime(2026, 4, 1, tzinfo=UTC))

_numbers = iter(range(10**9))


def attempt(**fields: Any) -> Row:
    """A row: one attempt that answered a call of 100 tokens in and 20 out for 1000 nano-USD, unless told otherwise."""
    number = next(_numbers)
    row: Row = dict.fromkeys(LEDGER) | dict.fromkeys(TOKENS, 0) | dict.fromkeys(COSTS, 0)
    row |= {
        "call_id": f"call_{number}",
        "started": START + timedelta(hours=12),
        "operation": "create",
        "outcome": "completed",
        "status": 200,
        "stream": False,
        "key_id": "key_1",
        "key_alias": "ada's",
        "tags": [],
        "model": "gpt",
        "response_id": f"resp_{number}",
        "turn": 1,
        "finish": "stop",
        "attempts": 1,
        "attempt": 1,
        "answered": True,
        "reason": "initial",
        "deployment": "gpt/0",
        "provider": "openai",
        "upstream_model": "gpt-5",
        "attempt_outcome": "completed",
        "uncached_input_tokens": 100,
        "visible_output_tokens": 20,
        "usage_source": "provider",
        "cost_status": "priced",
        "cost_nano": 1000,
        "margin_nano": 0,
        "duration_ms": 1500.0,
        "first_output_ms": 500.0,
        "replayed": False,
    }
    row |= fields
    row.setdefault("session_id", row["response_id"])
    if "input_tokens" not in fields:
        row["input_tokens"] = sum(row[name] for name in TOKENS[:6])
    if "output_tokens" not in fields:
        row["output_tokens"] = sum(row[name] for name in TOKENS[6:])
    if "cost_input_nano" not in fields and row["cost_nano"] is not None:
        row["cost_input_nano"] = row["cost_nano"] - sum(row[name] or 0 for name in COSTS[1:])
    if row["session_id"] is None and "session_id" not in fields:
        row["session_id"] = row["response_id"]
    return row


def unpriced(**fields: Any) -> Row:
    """An attempt whose price nobody knows."""
    return attempt(**{"cost_status": "unpriced", "cost_nano": None, **dict.fromkeys(COSTS), **fields})


def rejected(**fields: Any) -> Row:
    """A call that reached no upstream."""
    nothing = dict.fromkeys((*TOKENS, "input_tokens", "output_tokens"), 0)
    gone = (
        "attempt",
        "reason",
        "deployment",
        "provider",
        "upstream_model",
        "attempt_outcome",
        "cost_status",
        "cost_nano",
        "finish",
    )
    return attempt(
        **{**nothing, **dict.fromkeys((*gone, *COSTS, "response_id", "session_id", "turn", "first_output_ms"))}
        | {
            "outcome": "rejected",
            "status": 429,
            "error_code": "rate_limit_exceeded",
            "attempts": 0,
            "usage_source": "none",
        }
        | fields
    )


def call(*attempts: Mapping[str, Any], **fields: Any) -> list[Row]:
    """A call with several attempts, of which the last answered; what is said of the call is on all of them."""
    number = next(_numbers)
    shared = {"call_id": f"call_{number}", "response_id": f"resp_{number}", "attempts": len(attempts)} | fields
    return [
        attempt(**{"attempt": place, "answered": place == len(attempts), **shared, **each})
        for place, each in enumerate(attempts, 1)
    ]


LOST = {"attempt_outcome": "failed", "error_kind": "overloaded", "answered": False}


def books(*rows: Row | Iterable[Row]) -> pl.LazyFrame:
    """The ledger of these rows."""
    flat: list[Row] = []
    for row in rows:
        flat += [row] if isinstance(row, dict) else list(row)
    return pl.LazyFrame(flat, schema=dict(LEDGER), orient="row")


def by_chance(seed: int, size: int, *, days: int = 30, start: datetime = START) -> list[Row]:
    """About `size` attempts with everything that can happen to one, spread over some days."""
    chance = random.Random(seed)
    rows: list[Row] = []
    parents: list[Row] = []
    while len(rows) < size:
        kind = chance.random()
        model = chance.choice(("gpt", "claude", "llama"))
        started = start + timedelta(microseconds=chance.randrange(days * 86_400_000_000))
        shared: dict[str, Any] = {
            "started": started,
            "model": model,
            "key_id": (key := chance.choice(("key_1", "key_2", "key_3", ""))),
            "key_alias": {"key_1": chance.choice(("ada's", "ada's new")), "key_2": "bob's"}.get(key),
            "team": chance.choice(("red", "blue", None)),
            "end_user": chance.choice(("u1", "u2", "u3", None)),
            "tags": chance.sample(("a", "b", "c"), chance.randrange(3)),
            "stream": chance.random() < 0.5,
            "task": chance.choice((None, None, "t1", "t2", "t3")),
            "success": chance.choice((None, None, True, False)),
            "duration_ms": chance.lognormvariate(7, 1),
            "operation": "create" if chance.random() < 0.95 else "get",
        }
        shared["first_output_ms"] = chance.choice((None, shared["duration_ms"] * chance.random()))
        if kind < 0.1:
            rows.append(rejected(**{name: shared[name] for name in shared if name != "first_output_ms"}))
            continue
        if parents and chance.random() < 0.5:
            parent = chance.choice(parents)
            shared |= {
                "session_id": parent["session_id"],
                "previous_response_id": parent["response_id"],
                "turn": parent["turn"] + 1,
                "started": min(
                    parent["started"] + timedelta(minutes=chance.randrange(1, 90)),
                    start + timedelta(days=days) - timedelta(microseconds=1),
                ),
                "replayed": chance.random() < 0.2,
            }
        if kind < 0.25:
            reason = chance.choice(("retry", "fallback", "hedge", "continuation"))
            lost = _used(chance, model, lost=True) | {"attempt_outcome": "cancelled" if reason == "hedge" else "failed"}
            made = call(lost, _used(chance, model) | {"reason": reason}, **shared)
        else:
            made = call(_used(chance, model), **shared)
        outcome = chance.choices(
            ("completed", "incomplete", "failed", "cancelled", "client_disconnected"), (80, 6, 6, 4, 4)
        )[0]
        finish = {"completed": "stop", "incomplete": chance.choice(("length", "content_filter"))}.get(outcome, "error")
        for row in made:
            row |= {"outcome": outcome, "finish": finish}
        made[-1] |= {
            "attempt_outcome": outcome,
            "error_kind": chance.choice(("timeout", "server")) if outcome == "failed" else None,
        }
        parents.append(made[-1])
        rows += made
    return rows


def _used(chance: random.Random, model: str, *, lost: bool = False) -> Row:
    tokens = {name: chance.choice((0, 0, 0, chance.randrange(1, 5000))) for name in TOKENS}
    tokens["uncached_input_tokens"] = chance.randrange(1, 5000)
    if lost and chance.random() < 0.5:
        tokens = dict.fromkeys(TOKENS, 0)
    where: Row = {
        "deployment": f"{model}/{chance.randrange(2)}",
        "provider": chance.choice(("openai", "azure")),
        "upstream_model": f"{model}-2026",
        "usage_source": chance.choice(("provider", "estimated")) if any(tokens.values()) else "none",
        "error_kind": chance.choice(("overloaded", "timeout")) if lost else None,
        "answered": not lost,
    }
    if model == "llama" and chance.random() < 0.7:
        return (
            tokens
            | where
            | dict.fromkeys(COSTS)
            | {"cost_status": "unpriced", "cost_nano": None, "input_rate_pico": None}
        )
    costs = {name: chance.randrange(10**7) for name in COSTS}
    rate = chance.choice((1_250_000, 250_000, None))
    priced = {
        "cost_status": "priced",
        "cost_nano": sum(costs.values()),
        "input_rate_pico": rate,
        "price_version": chance.choice(("v1", "v2")),
    }
    return tokens | where | costs | priced | {"price_source": "catalogue", "margin_nano": chance.randrange(100)}


# ── Row by row ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def seen(rows: Iterable[Row], window: Window) -> list[Row]:
    """The rows that a report of this window is about."""
    return [row for row in rows if row["operation"] == "create" and window.start <= row["started"] < window.end]


def grouped(rows: Iterable[Row], *names: str | Callable[[Row], Any]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by the values of columns or of functions."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(name(row) if callable(name) else row[name] for name in names)].append(row)
    return dict(found)


def money(rows: Iterable[Row]) -> tuple[int | None, int]:
    """What rows cost together (None: nothing of it is known), and how many attempts are unpriced."""
    told = list(rows)
    unknown = [
        row
        for row in told
        if row["cost_status"] == "unpriced"
        and (row["usage_source"] != "none" or row["attempt_outcome"] in ("completed", "incomplete"))
    ]
    known = [row for row in told if row["cost_status"] in ("priced", "free")]
    return (None if unknown and not known else sum(row["cost_nano"] or 0 for row in told)), len(unknown)


def day_in(zone: str) -> Callable[[Row], Any]:
    """The date on the wall on which a row's call began."""
    place = ZoneInfo(zone)
    return lambda row: row["started"].astimezone(place).date()
