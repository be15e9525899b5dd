"""What earlier versions kept, and how it becomes what is kept now. Nothing here is used by a gateway that began with this one.

0.1 had a table of calls, one of attempts and one of cost lines, and facts in its journals to match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .facts import ATTEMPT, BILL, CALL, COST, ERROR, LEDGER, PARTS, USAGE

_LATER = {"turn", "task", "continuity", "reported_cost_nano", "units"}
_USAGE_1 = [column.attribute for column in USAGE if column.name not in _LATER]
_CALL_1 = [*(column.attribute for column in CALL if column.name not in _LATER), *_USAGE_1]
_ATTEMPT_1 = [*(column.attribute for column in ATTEMPT if column not in USAGE), *_USAGE_1]


def facts_of_format_1(facts: Sequence[Any]) -> list[Any]:
    """The facts that a journal of 0.1 holds of a call, in today's order."""
    values, error, _, attempts = facts
    call = dict(zip(_CALL_1, values, strict=True))
    told = []
    for of_attempt, cost, lines in attempts:
        attempt = dict(zip(_ATTEMPT_1, of_attempt, strict=True))
        answered = attempt["number"] == len(attempts)  # nobody said so then; it was the last
        told.append([[attempt.get(column.attribute) for column in ATTEMPT], cost, lines, answered])
    return [1, [call.get(column.attribute) for column in CALL], error, told]


def _call_column(name: str) -> str:
    match name:
        case "call_id":
            return "calls.id"
        case "tags":
            return "coalesce(from_json(calls.tags, '[\"VARCHAR\"]'), [])"
        case "call_error_kind":
            return "calls.error_kind"
        case _ if name in _LATER:
            return "NULL"
        case _:
            return f"calls.{name}"


def _attempt_column(name: str) -> str:
    renamed = {"attempt": "number", "upstream_model": "model", "attempt_error": "error_message"}
    if name in _LATER:
        return "NULL"
    return f"attempts.{renamed.get(name, name.removeprefix('attempt_'))}"


def _bill_column(name: str) -> str:
    kept = {column.name for column in COST[:4]}
    if name in kept:
        return f"attempts.{name}"
    if name == "lines":
        return "lines.lines"
    if name == "currency":
        return "CASE WHEN attempts.call_id IS NOT NULL THEN 'USD' END"
    if name in {column.name for column in PARTS}:
        return f"CASE WHEN attempts.cost_nano IS NOT NULL THEN coalesce(lines.{name}, 0) END"
    return "CASE WHEN attempts.call_id IS NOT NULL THEN 0 END" if name == "margin_nano" else "NULL"


_COMPONENT_OF_KIND = """CASE
    WHEN kind IN ('input', 'input_audio', 'input_image') THEN 'input'
    WHEN kind IN ('cache_read', 'cache_read_audio') THEN 'cache_read'
    WHEN kind IN ('cache_write', 'cache_write_1h') THEN 'cache_write'
    WHEN kind IN ('output', 'output_audio', 'output_image') THEN 'output'
    WHEN kind = 'reasoning' THEN 'reasoning'
    WHEN kind IN ('request', 'reported') THEN 'other'
    ELSE 'tools' END"""


def tables_of_schema_1() -> list[str]:
    """The statements that turn the tables of 0.1 into the ledger."""
    columns = {
        **{column.name: _call_column(column.name) for column in (*CALL, *ERROR)},
        "attempts": "calls.attempts",
        **{column.name: _attempt_column(column.name) for column in ATTEMPT},
        **{column.name: _bill_column(column.name) for column in BILL},
        "answered": "attempts.number IS NULL OR attempts.number = calls.attempts",
        "recorded_ns": "calls.recorded_ns",
    }
    sums = ", ".join(
        f"sum(amount_nano) FILTER (component = '{c.name.removeprefix('cost_').removesuffix('_nano')}')::BIGINT AS {c.name}"
        for c in PARTS
    )
    names, values = ", ".join(c.name for c in LEDGER), ", ".join(columns[c.name] for c in LEDGER)
    return [
        f"""INSERT INTO ledger ({names}) SELECT {values}
        FROM calls LEFT JOIN attempts ON attempts.call_id = calls.id
        LEFT JOIN (
            SELECT call_id, attempt, {sums},
                list({{'kind': kind, 'quantity': quantity, 'rate_pico': rate_pico, 'amount_nano': amount_nano}}) AS lines
            FROM (SELECT *, {_COMPONENT_OF_KIND} AS component FROM cost_lines) GROUP BY call_id, attempt
        ) AS lines ON lines.call_id = attempts.call_id AND lines.attempt = attempts.number
        ORDER BY calls.started""",  # noqa: S608 - of our own words
        "DROP VIEW IF EXISTS spend",
        "DROP TABLE calls",
        "DROP TABLE attempts",
        "DROP TABLE cost_lines",
    ]
