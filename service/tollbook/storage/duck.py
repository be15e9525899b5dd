"""The tables: one DuckDB file, open to one process, readable by anybody's notebook when that process is gone.

`schema.py` has what they are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from tollbook.errors import ConfigError
from tollbook.responses.ids import time_of

from . import facts
from .pack import HEAD, Kept
from .progress import touch
from .rollup import full
from .schema import TURNS, prepare

_HOUR = 3_600_000_000_000
_SLACK = timedelta(hours=1)
"""Between the time in an id and the time in its row: both are ours, made at different points of one call."""

_LEDGER = ", ".join(column.name for column in facts.LEDGER)
_HEAD = ", ".join({"session_started": "session_started_ns", "created": "created_ns"}.get(name, name) for name in HEAD)


class Row(NamedTuple):
    """An entry on its way into the tables."""

    recorded: int
    ledger: Sequence[facts.Row]
    head: Sequence[Any] | None
    content: bytes | None

    @property
    def call_id(self) -> str:
        return str(self.ledger[0][_ID])


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
            prepare(connection, name=str(self._path))
        except BaseException:
            connection.close()
            raise
        self._seal()
        return connection

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

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own, to be closed."""
        return self._connection.cursor()

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor whose work is committed at the end, or undone."""
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
        calls: dict[str, Row] = {}
        for row in sorted(rows, key=_recorded):
            calls.setdefault(row.call_id, row)  # what is in the ledger stays as it was booked first
        turns = {row.head[0]: row for row in sorted(rows, key=_recorded) if row.head is not None}
        with self.transaction() as cursor:
            new_calls = _new_calls(cursor, calls)
            new_turns = _supersede_turns(cursor, turns)
            _append(cursor, "ledger", facts.LEDGER, [each for row in new_calls for each in row.ledger])
            new = [_turn_row(row.head, row) for row in new_turns if row.head is not None]
            _append(cursor, "turns", (*TURNS, _CONTENT), new)
            if new_calls:
                touch(cursor, {full(each[_STARTED]) for row in new_calls for each in row.ledger})
            cursor.execute("DELETE FROM marks WHERE journal = ?", [journal])
            cursor.execute("INSERT INTO marks VALUES (?, ?)", [journal, sequence])
        return new_turns

    def delete(self, response_id: str, key_id: str | None, now: int) -> bool:
        """Remove a turn and leave a tombstone, durably. False when there was none."""
        where, values = _identified(response_id, key_id)
        with self.transaction() as cursor:
            found = cursor.execute(f"SELECT key_id FROM turns WHERE {where}", values).fetchall()  # noqa: S608
            if not found:
                return False
            cursor.execute(f"DELETE FROM turns WHERE {where}", values)  # noqa: S608
            cursor.execute("INSERT INTO deletions VALUES (?, ?, ?)", [response_id, found[0][0], now])
        return True

    def expire(self, before: int) -> None:
        """Remove turns that were made before a time (nanoseconds); calls stay."""
        if self.read("SELECT 1 FROM turns WHERE created_ns < ? LIMIT 1", [before]):
            with self.transaction() as cursor:
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

    def call(self, call_id: str, key_id: str | None) -> list[facts.Row] | None:
        """The rows of one call, if the key may see it."""
        query = f"SELECT {_LEDGER} FROM ledger WHERE call_id = ? AND (? OR key_id = ?)"  # noqa: S608
        values = [call_id, key_id is None, key_id]
        found: list[tuple[Any, ...]] = []
        milliseconds = time_of(call_id)
        near = facts.time(milliseconds * 1_000_000) if milliseconds is not None else None
        if near is not None:
            found = self.read(f"{query} AND started BETWEEN ? AND ?", [*values, near - _SLACK, near + _SLACK])
        found = found or self.read(query, values)
        return [list(row) for row in found] or None

    def calls(self, *, key_id: str | None, limit: int, before: str | None) -> list[list[facts.Row]] | None:
        """The rows of calls, newest first, older than `before`; None when `before` is not there."""
        query = f"SELECT {_LEDGER} FROM ledger WHERE answered AND (? OR key_id = ?)"  # noqa: S608
        values: list[Any] = [key_id is None, key_id]
        if before is not None:
            last = self.call(before, key_id)
            if last is None:
                return None
            query += " AND (started < ? OR (started = ? AND call_id < ?))"
            values += [last[0][_STARTED], last[0][_STARTED], before]
        found = self.read(f"{query} ORDER BY started DESC, call_id DESC LIMIT ?", [*values, limit])
        return self._with_attempts([list(row) for row in found])

    def _with_attempts(self, answered: list[facts.Row]) -> list[list[facts.Row]]:
        """The rows that answered, each with the other attempts of its call."""
        several = [row for row in answered if row[_ATTEMPTS] > 1]
        others: dict[str, list[facts.Row]] = {}
        if several:
            started = [row[_STARTED] for row in several]
            query = (
                f"SELECT {_LEDGER} FROM ledger WHERE NOT answered"  # noqa: S608
                " AND started BETWEEN ? AND ? AND call_id IN (SELECT unnest(?))"
            )
            for row in self.read(query, [min(started), max(started), [row[_ID] for row in several]]):
                others.setdefault(row[_ID], []).append(list(row))
        return [[row, *others.get(row[_ID], ())] for row in answered]


_ID, _STARTED, _ATTEMPTS = (
    [column.name for column in facts.LEDGER].index(name) for name in ("call_id", "started", "attempts")
)
_CONTENT = facts.Column("content", "TEXT")
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


def _append(
    cursor: duckdb.DuckDBPyConnection, table: str, columns: Sequence[facts.Column], rows: Sequence[Sequence[Any]]
) -> None:
    if rows:
        appender = cursor.appender(table, columns=[column.name for column in columns])
        # Not all at once: the appender holds the interpreter meanwhile, and an event loop may be waiting for it.
        for start in range(0, len(rows), 16):
            appender.append_rows(rows[start : start + 16])
        appender.flush()


def _new_calls(cursor: duckdb.DuckDBPyConnection, calls: dict[str, Row]) -> list[Row]:
    """The calls that the ledger does not have yet."""
    since = min(row.ledger[0][_STARTED] for row in calls.values())
    standing = {
        row[0]
        for row in cursor.execute(
            "SELECT call_id FROM ledger WHERE started >= ? AND call_id IN (SELECT unnest(?))", [since, list(calls)]
        ).fetchall()
    }
    return [row for identifier, row in calls.items() if identifier not in standing]


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
