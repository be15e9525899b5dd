"""The tables: one DuckDB file, open to one process, readable by anybody's notebook when that process is gone.

No PRIMARY KEY and no index: rows arrive in the order of time and every lookup that can carries a bound on time, which
DuckDB's zone maps turn into a few milliseconds; secondary indexes are where its corruption reports sit
(https://github.com/duckdb/duckdb/issues/23788). Money is BIGINT nano-USD, times are UTC.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from tollbook.errors import ConfigError
from tollbook.responses.ids import time_of

from . import facts
from .pack import HEAD, Kept

SCHEMA = 1
"""The version of the tables; `schema_version` in the file holds the one that made it."""

_HOUR = 3_600_000_000_000
_SLACK = timedelta(hours=1)
"""Between the time in an id and the time in its row: both are ours, made at different points of one call."""


def _table(name: str, columns: Iterable[facts.Column]) -> str:
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(f'{column.name} {column.type}' for column in columns)})"


_TURNS = (
    # A number of eight bytes to look for: a scan for it reads a seventh of what a scan for the id would, and the ids
    # of native upstreams carry no time.
    facts.Column("response_hash", "BIGINT"),
    facts.Column("response_id", "TEXT"),
    facts.Column("previous_response_id", "TEXT"),
    facts.Column("session_id", "TEXT"),
    facts.Column("session_started_ns", "BIGINT"),
    facts.Column("number", "BIGINT"),
    facts.Column("key_id", "TEXT"),
    facts.Column("call_id", "TEXT"),
    facts.Column("trace_id", "TEXT"),
    facts.Column("span_id", "TEXT"),
    facts.Column("model", "TEXT"),
    facts.Column("deployment", "TEXT"),
    facts.Column("provider", "TEXT"),
    facts.Column("native", "BOOLEAN"),
    facts.Column("created_ns", "BIGINT"),
    facts.Column("status", "TEXT"),
    facts.Column("recorded_ns", "BIGINT"),
)

_INPUT, _OUTPUT = (
    " + ".join(f"attempts.{name}_tokens" for name in names)
    for names in (
        (
            "uncached_input",
            "cache_read",
            "cache_write",
            "cache_write_1h",
            "audio_input",
            "image_input",
            "cache_read_audio",
        ),
        ("visible_output", "reasoning", "audio_output", "image_output"),
    )
)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT)",
    _table("calls", facts.CALLS),
    _table("attempts", facts.ATTEMPTS),
    _table("cost_lines", facts.COST_LINES),
    # `content` is zstd (request, input items, response): see pack.py. BLOB, for VARCHAR refuses lone surrogates.
    _table("turns", _TURNS).removesuffix(")") + ", content BLOB)",
    "CREATE TABLE IF NOT EXISTS deletions (response_id TEXT, key_id TEXT, deleted_ns BIGINT)",
    "CREATE TABLE IF NOT EXISTS marks (journal TEXT, sequence BIGINT)",
    f"""CREATE OR REPLACE VIEW spend AS
        -- One row per attempt with the call it served; a call that reached no upstream has one row without an attempt.
        SELECT calls.started, calls.id AS call_id, calls.operation, calls.outcome, calls.status, calls.stream,
            calls.key_id, calls.key_alias, calls.team, calls.end_user, calls.tags, calls.model,
            calls.response_id, calls.session_id, calls.trace_id,
            attempts.number AS attempt, attempts.reason, attempts.deployment, attempts.provider,
            coalesce(attempts.served_model, attempts.model) AS upstream_model, attempts.service_tier,
            attempts.outcome AS attempt_outcome, attempts.error_kind,
            {_INPUT} AS input_tokens,
            attempts.cache_read_tokens,
            {_OUTPUT} AS output_tokens,
            attempts.reasoning_tokens, attempts.usage_source,
            attempts.cost_status, attempts.cost_nano, attempts.cost_nano::DECIMAL(19, 0) * 0.000000001 AS cost_usd,
            attempts.price_version, attempts.price_source,
            date_diff('microsecond', calls.started, calls.ended) / 1000.0 AS duration_ms,
            date_diff('microsecond', calls.started, calls.first_output) / 1000.0 AS first_output_ms
        FROM calls LEFT JOIN attempts ON attempts.call_id = calls.id""",  # noqa: S608 - of our own column names
)

_HEAD = ", ".join({"session_started": "session_started_ns", "created": "created_ns"}.get(name, name) for name in HEAD)


class Row(NamedTuple):
    """An entry on its way into the tables."""

    recorded: int
    facts: facts.Rows
    head: Sequence[Any] | None
    content: bytes | None


class Link(NamedTuple):
    """What walking a chain needs of a turn."""

    response_id: str
    previous_response_id: str | None
    created: int


class Tables:
    """The open file, or memory when `path` is None. Reading may be done from any thread, writing by one at a time.

    Every method may raise `duckdb.Error`. `memory_limit` is DuckDB's own: it counts its buffers, not its code.
    """

    def __init__(self, path: Path | None, *, memory_limit: str = "128MB") -> None:
        self._path = path
        self._memory_limit = memory_limit
        self._connection = self._open()

    def _open(self) -> duckdb.DuckDBPyConnection:
        config: dict[str, Any] = {"threads": 2, "async_threads": 1, "memory_limit": self._memory_limit}
        # The file cannot be made beforehand (DuckDB refuses an empty one), so it is born under a strict umask.
        umask = os.umask(0o077)
        try:
            connection = duckdb.connect(":memory:" if self._path is None else str(self._path), config=config)
        except duckdb.Error as error:
            raise ConfigError(
                f"{self._path} cannot be opened. One process at a time may own it: is another gateway, recorder or"
                f" notebook using it? DuckDB says: {error}"
            ) from error
        finally:
            os.umask(umask)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._seal()
        return connection

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(_SCHEMA[0])
        found = connection.execute("SELECT max(version) FROM schema_version").fetchall()[0][0]
        if found is not None and found > SCHEMA:
            raise ConfigError(
                f"{self._path} was written by a newer Tollbook: its tables have version {found}, this one knows {SCHEMA}."
            )
        if found is None:
            connection.begin()
            for statement in _SCHEMA[1:]:
                connection.execute(statement)
            connection.execute("INSERT INTO schema_version VALUES (?)", [SCHEMA])
            connection.commit()

    def _seal(self) -> None:
        """DuckDB makes its write-ahead log anew after each checkpoint, under the umask of the process."""
        if self._path is not None:
            for path in (self._path, self._path.with_name(self._path.name + ".wal")):
                with suppress(FileNotFoundError):
                    if path.stat().st_mode & 0o077:
                        path.chmod(0o600)

    def reopen(self) -> None:
        """Begin again after an error that made DuckDB refuse everything: what was committed is still there."""
        with suppress(duckdb.Error):
            self._connection.close()
        self._connection = self._open()

    def close(self) -> None:
        with suppress(duckdb.Error):  # the next start replays the log instead
            self._connection.execute("CHECKPOINT")
        self._connection.close()

    def read(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, on a cursor of its own."""
        with closing(self._connection.cursor()) as cursor:
            return cursor.execute(query, parameters).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with closing(self._connection.cursor()) as cursor:
            cursor.begin()
            try:
                yield cursor
                cursor.commit()
            except BaseException:
                with suppress(duckdb.Error):  # a failed commit has rolled back by itself
                    cursor.rollback()
                raise
        self._seal()

    # Writing

    def marks(self) -> dict[str, int]:
        """How far each journal, by its uuid, has been taken over."""
        return dict(self.read("SELECT journal, sequence FROM marks"))

    def deletions(self, since: int) -> dict[str, int]:
        """Response ids that were deleted after a time (nanoseconds), with when."""
        return dict(self.read("SELECT response_id, deleted_ns FROM deletions WHERE deleted_ns >= ?", [since]))

    def take(self, rows: Sequence[Row], *, journal: str, sequence: int) -> list[Row]:
        """Take over what a journal holds up to a sequence number, in one transaction with its high-water mark.

        Answers the rows whose turns stand in the tables now: not the deleted, not those of which a newer one is there.
        """
        calls = {row.facts.call[0]: row for row in sorted(rows, key=_recorded)}
        turns = {row.head[0]: row for row in sorted(rows, key=_recorded) if row.head is not None}
        with self._transaction() as cursor:
            new_calls = _supersede_calls(cursor, calls)
            new_turns = _supersede_turns(cursor, turns)
            _append(cursor, "calls", [row.facts.call for row in new_calls])
            _append(cursor, "attempts", [each for row in new_calls for each in row.facts.attempts])
            _append(cursor, "cost_lines", [each for row in new_calls for each in row.facts.cost_lines])
            _append(cursor, "turns", [_turn_row(row.head, row) for row in new_turns if row.head is not None])
            cursor.execute("DELETE FROM marks WHERE journal = ?", [journal])
            cursor.execute("INSERT INTO marks VALUES (?, ?)", [journal, sequence])
        return new_turns

    def delete(self, response_id: str, key_id: str | None, now: int) -> bool:
        """Remove a turn and leave a tombstone, durably. False when there was none."""
        where, values = _identified(response_id, key_id)
        with self._transaction() as cursor:
            found = cursor.execute(f"SELECT key_id FROM turns WHERE {where}", values).fetchall()  # noqa: S608
            if not found:
                return False
            cursor.execute(f"DELETE FROM turns WHERE {where}", values)  # noqa: S608
            cursor.execute("INSERT INTO deletions VALUES (?, ?, ?)", [response_id, found[0][0], now])
        return True

    def expire(self, before: int) -> None:
        """Remove turns that were made before a time (nanoseconds); calls stay."""
        if self.read("SELECT 1 FROM turns WHERE created_ns < ? LIMIT 1", [before]):
            with self._transaction() as cursor:
                cursor.execute("DELETE FROM turns WHERE created_ns < ?", [before])

    # Reading

    def turn(self, response_id: str, key_id: str | None) -> Kept | None:
        """The turn of a response, if the key may see it."""
        where, values = _identified(response_id, key_id)
        query = f"SELECT content, {_HEAD} FROM turns WHERE {where}"  # noqa: S608
        milliseconds = time_of(response_id)
        found: list[tuple[Any, ...]] = []
        if milliseconds is not None:  # may also be a stranger's 32 random digits: then nothing is found there
            near = milliseconds * 1_000_000
            bound = [near - _HOUR, near + _HOUR] if near + _HOUR < 2**63 else [2**63 - 1] * 2
            found = self.read(f"{query} AND created_ns BETWEEN ? AND ?", [*values, *bound])
        found = found or self.read(query, values)
        return Kept(found[0][1:], found[0][0]) if found else None

    def links(self, kept: Kept, key_id: str | None) -> dict[str, Link]:
        """The turns of the same session that are not later than this one, by response id; other branches too."""
        head = dict(zip(HEAD, kept.head, strict=True))
        rows = self.read(
            "SELECT response_id, previous_response_id, created_ns FROM turns"
            " WHERE session_id = ? AND created_ns BETWEEN ? AND ? AND (? OR key_id = ?)",
            [head["session_id"], head["session_started"] - _HOUR, head["created"] + _HOUR, key_id is None, key_id],
        )
        return {row[0]: Link._make(row) for row in rows}

    def turns(self, links: Sequence[Link], key_id: str | None) -> dict[str, Kept]:
        """The turns of these links, by response id."""
        if not links:
            return {}
        rows = self.read(
            f"SELECT content, {_HEAD} FROM turns WHERE created_ns BETWEEN ? AND ?"  # noqa: S608
            " AND response_hash IN (SELECT unnest(?)) AND (? OR key_id = ?)",
            [
                min(link.created for link in links),
                max(link.created for link in links),
                [_hash(link.response_id) for link in links],
                key_id is None,
                key_id,
            ],
        )
        return {row[1]: Kept(row[1:], row[0]) for row in rows}

    def call(self, call_id: str, key_id: str | None) -> facts.Rows | None:
        """The rows of one call, if the key may see it."""
        query = "SELECT * FROM calls WHERE id = ? AND (? OR key_id = ?)"
        values = [call_id, key_id is None, key_id]
        found: list[tuple[Any, ...]] = []
        milliseconds = time_of(call_id)
        near = facts.time(milliseconds * 1_000_000) if milliseconds is not None else None
        if near is not None:
            found = self.read(f"{query} AND started BETWEEN ? AND ?", [*values, near - _SLACK, near + _SLACK])
        found = found or self.read(query, values)
        return self._with_attempts(found)[0] if found else None

    def calls(self, *, key_id: str | None, limit: int, before: str | None) -> list[facts.Rows] | None:
        """Calls, newest first, older than `before`; None when `before` is not there."""
        query, values = "SELECT * FROM calls WHERE (? OR key_id = ?)", [key_id is None, key_id]
        if before is not None:
            last = self.call(before, key_id)
            if last is None:
                return None
            query += " AND (started < ? OR (started = ? AND id < ?))"
            values += [last.call[1], last.call[1], before]
        return self._with_attempts(self.read(f"{query} ORDER BY started DESC, id DESC LIMIT ?", [*values, limit]))

    def _with_attempts(self, calls: list[tuple[Any, ...]]) -> list[facts.Rows]:
        attempts: dict[str, list[list[Any]]] = {}
        lines: dict[str, list[list[Any]]] = {}
        if calls:
            started = [row[1] for row in calls]
            where = "WHERE call_started BETWEEN ? AND ? AND call_id IN (SELECT unnest(?))"
            values = [min(started), max(started), [row[0] for row in calls]]
            for row in self.read(f"SELECT * FROM attempts {where} ORDER BY number", values):  # noqa: S608
                attempts.setdefault(row[_ATTEMPT_CALL], []).append(list(row))
            for row in self.read(f"SELECT * FROM cost_lines {where} ORDER BY attempt, rowid", values):  # noqa: S608
                lines.setdefault(row[_LINE_CALL], []).append(list(row))
        return [facts.Rows(list(row), attempts.get(row[0], []), lines.get(row[0], [])) for row in calls]


_ATTEMPT_CALL = [column.name for column in facts.ATTEMPTS].index("call_id")
_LINE_CALL = [column.name for column in facts.COST_LINES].index("call_id")
_CREATED = HEAD.index("created")


def _recorded(row: Row) -> int:
    return row.recorded


def _hash(response_id: str) -> int:
    digest = hashlib.blake2b(response_id.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _identified(response_id: str, key_id: str | None) -> tuple[str, list[Any]]:
    """A condition for one response that the key may see."""
    return "response_hash = ? AND response_id = ? AND (? OR key_id = ?)", [
        _hash(response_id),
        response_id,
        key_id is None,
        key_id,
    ]


def _turn_row(head: Sequence[Any], row: Row) -> tuple[Any, ...]:
    return (_hash(head[0]), *head, row.recorded, row.content)


def _append(cursor: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        appender = cursor.appender(table)
        # Not all at once: the appender holds the interpreter meanwhile, and an event loop may be waiting for it.
        for start in range(0, len(rows), 16):
            appender.append_rows(rows[start : start + 16])
        appender.flush()


def _supersede_calls(cursor: duckdb.DuckDBPyConnection, calls: dict[str, Row]) -> list[Row]:
    """The calls that are to be added, after making room for those that stand there in an older version."""
    since = min(row.facts.call[1] for row in calls.values())
    standing = dict(
        cursor.execute(
            "SELECT id, max(recorded_ns) FROM calls WHERE started >= ? AND id IN (SELECT unnest(?)) GROUP BY id",
            [since, list(calls)],
        ).fetchall()
    )
    new = [row for identifier, row in calls.items() if standing.get(identifier, -1) < row.recorded]
    stale = [row.facts.call[0] for row in new if row.facts.call[0] in standing]
    if stale:
        for table, identifier, started in (
            ("calls", "id", "started"),
            ("attempts", "call_id", "call_started"),
            ("cost_lines", "call_id", "call_started"),
        ):
            cursor.execute(
                f"DELETE FROM {table} WHERE {started} >= ? AND {identifier} IN (SELECT unnest(?))",  # noqa: S608
                [since, stale],
            )
    return new


def _supersede_turns(cursor: duckdb.DuckDBPyConnection, turns: dict[str, Row]) -> list[Row]:
    """The turns that are to be added, without the deleted ones, after making room as for calls."""
    if not turns:
        return []
    # No turn is deleted before it is made, and none is made anew at another time.
    since = min(row.head[_CREATED] for row in turns.values() if row.head is not None) - _HOUR
    hashes = [_hash(identifier) for identifier in turns]
    deleted = {
        row[0]
        for row in cursor.execute(
            "SELECT response_id FROM deletions WHERE deleted_ns >= ? AND response_id IN (SELECT unnest(?))",
            [since, list(turns)],
        ).fetchall()
    }
    standing = dict(
        cursor.execute(
            "SELECT response_id, max(recorded_ns) FROM turns WHERE created_ns >= ?"
            " AND response_hash IN (SELECT unnest(?)) GROUP BY response_id",
            [since, hashes],
        ).fetchall()
    )
    new = {
        identifier: row
        for identifier, row in turns.items()
        if identifier not in deleted and standing.get(identifier, -1) < row.recorded
    }
    stale = [_hash(identifier) for identifier in new if identifier in standing]
    if stale:
        cursor.execute(
            "DELETE FROM turns WHERE created_ns >= ? AND response_hash IN (SELECT unnest(?))", [since, stale]
        )
    return list(new.values())
