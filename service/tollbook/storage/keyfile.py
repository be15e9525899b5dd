"""keys.sqlite: who may come in, in which teams, with which budgets, and the audit of what was done to them.

One file, shared by workers and the command line. `keys.py`, `teams.py` and `budgets.py` know one kind of row each.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from tollbook.errors import ConfigError, Unavailable

from . import keylayout

FILE = "keys.sqlite"
_WAIT = 5.0
"""Seconds to wait for another process that writes."""

Row = dict[str, Any]
"""One row, by column; lists are lists."""

Kind = Literal["key", "team", "budget"]


class KeyFile:
    """The file in `directory`, or memory when there is no directory.

    Safe to use from several threads and processes. Every change is on disk, with its audit row, when the method returns.
    Methods raise Unavailable (code "storage_unavailable") when the file cannot be read or written. Opening it raises
    ConfigError when a newer Tollbook wrote it.
    """

    def __init__(self, directory: Path | None = None, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.clock = clock
        self._own_changes = 0
        self._lock = self._read_lock = RLock()
        if directory is None:
            self.path: Path | None = None
            # One connection for both: a memory of its own belongs to each. Reads wait for writes, which take no time.
            self._writer = self._reader = _connect(":memory:")
        else:
            self.path = directory / FILE
            _make_private(self.path)
            self._read_lock = RLock()  # two connections: nobody who reads waits for a writer's disk
            self._writer, self._reader = _connect(str(self.path)), _connect(str(self.path))
        try:
            with self.changing() as connection:
                keylayout.bring_up(connection, str(self.path))
        except BaseException:
            self.close()
            raise

    def version(self) -> tuple[int, int]:
        """Another value after every change, whoever made it. Costs microseconds and never waits for a writer."""
        with self._read_lock:
            try:
                # It counts the commits of other connections, so also of this file's writer, but not in memory.
                (version,) = self._reader.execute("PRAGMA data_version").fetchone()
            except sqlite3.Error as failure:
                raise _unavailable(failure) from failure
            return version, self._own_changes

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What is read within the block is of one moment."""
        with self._read_lock:
            if _within(self._reader):  # in memory, where reader and writer are one: within a change
                yield self._reader
                return
            try:
                self._reader.execute("BEGIN")
                try:
                    yield self._reader
                finally:
                    self._reader.execute("ROLLBACK")
            except sqlite3.Error as failure:
                raise _unavailable(failure) from failure

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """What is changed within the block is changed as a whole or not at all. Blocks may stand in one another."""
        with self._lock:
            if _within(self._writer):
                yield self._writer
                return
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                finally:
                    if _within(self._writer):
                        self._writer.execute("ROLLBACK")
            except sqlite3.Error as failure:
                raise _unavailable(failure) from failure
            self._own_changes += 1

    def note(
        self, actor: str, action: str, kind: Kind, subject: str, name: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """An audit row, as part of a change. `details` never hold a secret."""
        with self.changing() as connection:
            connection.execute(
                "INSERT INTO audit (at, actor, action, kind, subject, name, details) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self.clock(), actor, action, kind, subject, name, json.dumps(details or {})),
            )

    def audit(self, limit: int = 1000, before: int | None = None) -> list[Row]:
        """What was done, newest first: the rows numbered below `before`."""
        with self.reading() as connection:
            found = connection.execute(
                "SELECT * FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?",
                (2**62 if before is None else before, limit),
            ).fetchall()
        return [{**dict(row), "details": json.loads(row["details"])} for row in found]

    def close(self) -> None:
        """Let go of the file. Closing twice is closing once."""
        with self._lock, self._read_lock:
            self._reader.close()
            self._writer.close()


def put(connection: sqlite3.Connection, table: Literal["keys", "teams", "budgets"], row: Mapping[str, Any]) -> None:
    """Insert a row; lists become JSON."""
    columns = ", ".join(row)
    marks = ", ".join("?" * len(row))
    values = [_stored(value) for value in row.values()]
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608 - our own names


def change(
    connection: sqlite3.Connection,
    table: Literal["keys", "teams", "budgets"],
    identifier: str,
    values: Mapping[str, Any],
) -> dict[str, list[Any]]:
    """Set columns of a row; what really changed, as `{column: [before, after]}`."""
    row = taken(connection.execute(f"SELECT * FROM {table} WHERE id = ?", (identifier,)).fetchone())  # noqa: S608
    told = {
        name: [row[name], list(value) if isinstance(value, tuple) else value]
        for name, value in values.items()
        if row[name] != (list(value) if isinstance(value, tuple) else value)
    }
    if told:
        settings = ", ".join(f"{name} = ?" for name in told)
        changed = [_stored(after) for _, after in told.values()]
        connection.execute(f"UPDATE {table} SET {settings} WHERE id = ?", (*changed, identifier))  # noqa: S608
    return told


def _within(connection: sqlite3.Connection) -> bool:
    return connection.in_transaction


_LISTS = ("models", "tags")
_FLAGS = ("blocked",)


def taken(row: sqlite3.Row) -> Row:
    """A row as it came from the file, with its lists and flags."""
    found = dict(row)
    for name in _LISTS:
        if name in found:
            found[name] = json.loads(found[name])
    for name in _FLAGS:
        if name in found:
            found[name] = bool(found[name])
    return found


def _stored(value: Any) -> Any:
    return json.dumps(list(value)) if isinstance(value, (list, tuple)) else value


def clean(text: str) -> str:
    """A lone surrogate, which a decoded URL may hold, is in no name; SQLite would not take it."""
    return text.encode("utf-8", "replace").decode()


def _connect(path: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error as failure:
        raise _unavailable(failure) from failure
    return connection


def _make_private(path: Path) -> None:
    """The file, readable by its owner only; SQLite gives its -wal and -shm files the same mode
    (https://www.sqlite.org/src/file?name=src/os_unix.c, findCreateFileMode)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as failure:
        raise ConfigError(f"The table of keys cannot be opened: {failure}.") from failure


def _unavailable(failure: sqlite3.Error) -> Unavailable:
    return Unavailable(f"The table of keys cannot be used now: {failure}.", code="storage_unavailable")
