"""The tables and views of the books, and how those of earlier versions become them.

No PRIMARY KEY and no index: rows arrive in the order of time and every lookup that can carries a bound on time, which
DuckDB's zone maps turn into a few milliseconds; secondary indexes are where its corruption reports sit
(https://github.com/duckdb/duckdb/issues/23788). Money is BIGINT nano-USD, times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from tollbook.errors import ConfigError

from .before import tables_of_schema_1
from .facts import BILL, LEDGER, Column
from .rollup import HOURS, LATENCIES
from .view import spend

SCHEMA = 2
"""The version of the tables; `schema_version` in the file holds the one that made it."""

TURNS = (
    # A number of eight bytes to look for: a scan for it reads a seventh of what a scan for the id would, and the ids
    # of native upstreams carry no time.
    Column("response_hash", "BIGINT"),
    Column("response_id", "TEXT"),
    Column("previous_response_id", "TEXT"),
    Column("session_id", "TEXT"),
    Column("session_started_ns", "BIGINT"),
    Column("number", "BIGINT"),
    Column("key_id", "TEXT"),
    Column("call_id", "TEXT"),
    Column("trace_id", "TEXT"),
    Column("span_id", "TEXT"),
    Column("model", "TEXT"),
    Column("deployment", "TEXT"),
    Column("provider", "TEXT"),
    Column("native", "BOOLEAN"),
    Column("created_ns", "BIGINT"),
    Column("status", "TEXT"),
    Column("recorded_ns", "BIGINT"),
)

REPRICINGS = (
    Column("repricing_id", "TEXT"),
    Column("at_ns", "BIGINT"),
    Column("action", "TEXT"),
    Column("actor", "TEXT"),
    Column("note", "TEXT"),
    Column("since", "TIMESTAMP"),
    Column("until", "TIMESTAMP"),
    Column("prices", "TEXT"),
    Column("attempts", "BIGINT"),
    Column("before_nano", "BIGINT"),
    Column("after_nano", "BIGINT"),
)
"""What was done to costs that were booked: `action` is apply or undo. Rows are only added."""

CORRECTION = (
    Column("repricing_id", "TEXT"),
    Column("call_id", "TEXT"),
    Column("started", "TIMESTAMP"),
    Column("attempt", "BIGINT"),
    *BILL,
)
"""Another bill for an attempt. `corrections` has all there ever were, `corrected` those that count now."""

SUCCESSES = (
    Column("call_id", "TEXT"),
    Column("at_ns", "BIGINT"),
    Column("success", "BOOLEAN"),
    Column("value", "DOUBLE"),
    Column("note", "TEXT"),
)
"""What was said afterwards of how a call served its purpose; the latest counts."""


def _table(name: str, columns: Iterable[Column]) -> str:
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(column.sql for column in columns)})"


def _cost_lines() -> str:
    fields = ", ".join(f"line.{name}" for name in ("kind", "quantity", "rate_pico", "amount_nano"))
    return f"""CREATE OR REPLACE VIEW cost_lines AS
        -- One row for each priced component of an attempt, as it was booked.
        SELECT call_id, started, attempt, {fields} FROM (
            SELECT call_id, started, attempt, unnest(lines) AS line FROM ledger)"""  # noqa: S608 - of our own words


_TABLES = (
    _table("ledger", LEDGER),
    # `content` is zstd (request, input items, response): see pack.py. BLOB, for VARCHAR refuses lone surrogates.
    _table("turns", TURNS).removesuffix(")") + ", content BLOB)",
    "CREATE TABLE IF NOT EXISTS deletions (response_id TEXT, key_id TEXT, deleted_ns BIGINT)",
    "CREATE TABLE IF NOT EXISTS marks (journal TEXT, sequence BIGINT)",
    _table("repricings", REPRICINGS),
    _table("corrections", CORRECTION),
    _table("corrected", CORRECTION),
    _table("successes", SUCCESSES),
    _table("hours", HOURS),
    _table("latencies", LATENCIES),
    # How far hours are rolled and days sealed; and hours before that in which something has changed since.
    "CREATE TABLE IF NOT EXISTS progress (name TEXT, until TIMESTAMP)",
    "CREATE TABLE IF NOT EXISTS touched (hour TIMESTAMP, rolled BOOLEAN DEFAULT false)",
)

_VIEWS = (
    # With dollars for people; programs add up nano-dollars.
    f"""CREATE OR REPLACE VIEW spend AS SELECT *, cost_nano::DECIMAL(19, 0) * 0.000000001 AS cost_usd
        FROM ({spend(corrected=True, successes=True)})""",  # noqa: S608 - of our own words
    _cost_lines(),
)


def prepare(connection: duckdb.DuckDBPyConnection, *, name: str) -> None:
    """Make the tables of an empty file, or bring those of an earlier version to today's, in one transaction.

    Raises ConfigError, naming the file, when a newer Tollbook wrote it.
    """
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT)")
    found = connection.execute("SELECT max(version) FROM schema_version").fetchall()[0][0]
    if found is not None and found > SCHEMA:
        raise ConfigError(
            f"{name} was written by a newer Tollbook: its tables have version {found}, this one knows {SCHEMA}."
        )
    if found == SCHEMA:
        return
    connection.begin()
    for statement in _TABLES:
        connection.execute(statement)
    if found == 1:
        for statement in tables_of_schema_1():
            connection.execute(statement)
    for statement in _VIEWS:
        connection.execute(statement)
    connection.execute("INSERT INTO schema_version VALUES (?)", [SCHEMA])
    connection.commit()
