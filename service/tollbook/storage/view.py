"""The view `spend`: a row for each attempt, with the costs that count now. Reports, exports and sealed days are made of it."""

from __future__ import annotations

from .facts import BILL

INPUT_TOKENS = (
    "uncached_input_tokens + ledger.cache_read_tokens + cache_write_tokens + cache_write_1h_tokens"
    " + audio_input_tokens + image_input_tokens + cache_read_audio_tokens"
)
OUTPUT_TOKENS = "visible_output_tokens + reasoning_tokens + audio_output_tokens + image_output_tokens"


def _milliseconds(since: str, until: str) -> str:
    return f"date_diff('microsecond', {since}, {until}) / 1000.0"


SPEND = (
    *(
        (name, f"ledger.{name}")
        for name in (
            *("call_id", "started", "operation", "outcome", "status", "stream", "key_id", "key_alias", "team"),
            *("end_user", "tags", "model", "response_id", "previous_response_id", "session_id", "turn", "trace_id"),
            *("task", "error_code", "finish", "attempts", "attempt", "answered", "reason", "deployment", "provider"),
        )
    ),
    ("upstream_model", "coalesce(ledger.served_model, ledger.upstream_model)"),
    *((name, f"ledger.{name}") for name in ("requested_tier", "service_tier", "attempt_outcome", "error_kind")),
    *((name, f"ledger.{name}") for name in ("uncached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")),
    ("cache_read_tokens", "ledger.cache_read_tokens + ledger.cache_read_audio_tokens"),
    *(
        (name, f"ledger.{name}")
        for name in (
            *("audio_input_tokens", "image_input_tokens", "visible_output_tokens", "reasoning_tokens"),
            *("audio_output_tokens", "image_output_tokens"),
        )
    ),
    ("input_tokens", INPUT_TOKENS),
    ("output_tokens", OUTPUT_TOKENS),
    ("usage_source", "ledger.usage_source"),
    *((column.name, f"bill.{column.name}") for column in BILL if column.name not in ("lines", "currency")),
    ("duration_ms", _milliseconds("ledger.started", "ledger.ended")),
    ("first_output_ms", _milliseconds("ledger.started", "ledger.first_output")),
    ("attempt_started", "ledger.attempt_started"),
    ("attempt_ms", _milliseconds("ledger.attempt_started", "ledger.attempt_ended")),
    ("attempt_first_byte_ms", _milliseconds("ledger.attempt_started", "ledger.attempt_first_byte")),
    ("replayed", "ledger.continuity IS NOT NULL"),
    ("success", "successes.success"),
)
"""Its columns, and what they are made of; `bill` stands for where the costs are that count now."""


def spend(*, corrected: bool, successes: bool) -> str:
    """A SELECT of SPEND. Joins that nothing needs are left out: each hashes every call id there is."""

    def value(name: str, source: str) -> str:
        if source.startswith("bill."):
            own = f"ledger.{name}"
            return f"CASE WHEN corrected.call_id IS NULL THEN {own} ELSE corrected.{name} END" if corrected else own
        return "NULL::BOOLEAN" if source.startswith("successes.") and not successes else source

    columns = ", ".join(f"{value(name, source)} AS {name}" for name, source in SPEND)
    query = f"SELECT {columns} FROM ledger"  # noqa: S608 - of our own words
    if corrected:
        query += " LEFT JOIN corrected ON corrected.call_id = ledger.call_id AND corrected.attempt = ledger.attempt"
    if successes:
        query += (
            " LEFT JOIN (SELECT call_id, arg_max(success, at_ns) AS success FROM successes GROUP BY call_id)"
            " AS successes ON successes.call_id = ledger.call_id"
        )
    return query
