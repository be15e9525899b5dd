"""The table of the operator's own prices, and what was known about prices when: one SQLite file, shared by workers and the CLI.

Nothing in it is ever changed or removed, which the file itself enforces: a price ends by a new row that says so, and a
correction is a newer row. So what a price list said at any time can be read for ever.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from tollbook.errors import ConfigError, Conflict, NotFound, Unavailable

FILE = "prices.sqlite"
_LAYOUT = 1
_WAIT = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS prices (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    created      INTEGER NOT NULL,  -- times are nanoseconds since 1970
    actor        TEXT NOT NULL,     -- who did it: "cli:alice"
    note         TEXT NOT NULL,
    closes       INTEGER REFERENCES prices,  -- the row whose end this one says; NULL for a price
    model        TEXT,              -- pattern of provider/model
    tier         TEXT,
    valid_from   INTEGER,
    valid_until  INTEGER,
    said         TEXT NOT NULL      -- JSON object: prices and terms by their keys
) STRICT;
CREATE TABLE IF NOT EXISTS releases (
    version      TEXT PRIMARY KEY,  -- of the catalogue
    content      BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS configurations (
    digest       TEXT PRIMARY KEY,  -- SHA-256 of the entries
    entries      TEXT NOT NULL      -- JSON: the price list of a configuration
) STRICT;
CREATE TABLE IF NOT EXISTS editions (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    seen          INTEGER NOT NULL,
    release       TEXT NOT NULL REFERENCES releases,
    configuration TEXT NOT NULL REFERENCES configurations
) STRICT;
"""
_TABLES = ("prices", "releases", "configurations", "editions")
_KEEP = """
CREATE TRIGGER IF NOT EXISTS {table}_keeps_{verb} BEFORE {verb} ON {table}
BEGIN SELECT raise(ABORT, 'rows of {table} are never changed'); END
"""

Row = dict[str, Any]
"""One row of `prices`, by column; `said` is a dictionary."""


class PriceTable:
    """Rows of prices on disk (`prices.sqlite` in `directory`), or in memory when there is no directory.

    Safe to use from several threads and processes. A row is on disk when the method that adds it returns. Methods raise
    Unavailable (code "storage_unavailable") when the file cannot be read or written.
    """

    def __init__(self, directory: Path | None = None, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._own_changes = 0
        self._lock = self._read_lock = RLock()
        if directory is None:
            self.path: Path | None = None
            # One connection for both: a memory of its own belongs to each.
            self._writer = self._reader = _connect(":memory:")
        else:
            self.path = directory / FILE
            _make_private(self.path)
            self._read_lock = RLock()  # two connections: nobody who reads waits for a writer's disk
            self._writer, self._reader = _connect(str(self.path)), _connect(str(self.path))
        try:
            self._lay_out()
        except BaseException:
            self.close()
            raise

    def _lay_out(self) -> None:
        with self._transaction() as connection:
            (layout,) = connection.execute("PRAGMA user_version").fetchone()
            if layout > _LAYOUT:
                raise ConfigError(f"{self.path} was written by a newer Tollbook (layout {layout}, known {_LAYOUT}).")
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            for table in _TABLES:
                for verb in ("UPDATE", "DELETE"):
                    connection.execute(_KEEP.format(table=table, verb=verb))
            connection.execute(f"PRAGMA user_version = {_LAYOUT}")

    # ---------------------------------------------------------------------------------------------------- own prices

    def version(self) -> tuple[int, int]:
        """Another value after every change, whoever made it. Costs microseconds and never waits for a writer."""
        with self._reading():
            # data_version counts the commits of other connections, so also of this table's writer, but not in memory.
            return self._reader.execute("PRAGMA data_version").fetchone()[0], self._own_changes

    def rows(self) -> list[Row]:
        """Everything that was said, oldest first, the ends included."""
        with self._reading():
            return _rows(self._reader)

    def set(self, row: Mapping[str, Any], *, actor: str, check: Callable[[Sequence[Row]], None]) -> Row:
        """Add a price; answers its row. `check` sees the rows before, and raises what is wrong with it: then nothing is added."""
        with self._transaction() as connection:
            check(_rows(connection))
            return self._add(connection, row, actor=actor)

    def end(self, number: int, valid_until: int | None, *, actor: str, note: str = "") -> Row:
        """Add that a price ends at a time; None: that it never held. Answers the row.

        Raises NotFound for a number that is no price, and Conflict for a time at which the price has ended already.
        """
        with self._transaction() as connection:
            rows = {row["number"]: row for row in _rows(connection)}
            price = rows.get(number)
            if price is None or price["closes"] is not None:
                raise NotFound(f"There is no price with the number {number}.", code="price_not_found")
            told = [price["valid_until"], *(row["valid_until"] for row in rows.values() if row["closes"] == number)]
            start = price["valid_from"] or 0
            end = start if valid_until is None else max(valid_until, start)
            if told[-1] is not None and told[-1] <= end:
                raise Conflict(f"The price with the number {number} has ended before.", code="price_ended")
            return self._add(connection, {"closes": number, "valid_until": end, "note": note}, actor=actor)

    def _add(self, connection: sqlite3.Connection, row: Mapping[str, Any], *, actor: str) -> Row:
        columns = ("created", "actor", "note", "closes", "model", "tier", "valid_from", "valid_until", "said")
        values = {"note": "", **row, "created": self._clock(), "actor": actor, "said": json.dumps(row.get("said", {}))}
        cursor = connection.execute(
            f"INSERT INTO prices ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 - own names
            [values.get(column) for column in columns],
        )
        return next(found for found in _rows(connection) if found["number"] == cursor.lastrowid)

    # ------------------------------------------------------------------------------------------------------- editions

    def keep(self, release: str, content: Callable[[], bytes], digest: str, entries: str) -> None:
        """Record that a release of the catalogue and the price list of a configuration are in force from now on.

        Nothing is added when they were the last ones recorded. `content` is asked for a release that is new here.
        """
        with self._reading():
            if _last(self._reader) == (release, digest):
                return
        with self._transaction() as connection:
            if _last(connection) == (release, digest):
                return
            if connection.execute("SELECT 1 FROM releases WHERE version = ?", (release,)).fetchone() is None:
                connection.execute("INSERT INTO releases VALUES (?, ?)", (release, content()))
            connection.execute("INSERT OR IGNORE INTO configurations VALUES (?, ?)", (digest, entries))
            connection.execute(
                "INSERT INTO editions (seen, release, configuration) VALUES (?, ?, ?)", (self._clock(), release, digest)
            )

    def editions(self) -> list[tuple[int, str, str]]:
        """Since when which release and which configuration were in force (its digest), oldest first."""
        with self._reading():
            found = self._reader.execute("SELECT seen, release, configuration FROM editions ORDER BY number").fetchall()
        return [(row["seen"], row["release"], row["configuration"]) for row in found]

    def release(self, version: str) -> bytes:
        """The content of a release of the catalogue. Raises NotFound."""
        return bytes(self._one("SELECT content FROM releases WHERE version = ?", version))

    def entries(self, digest: str) -> str:
        """The price list of a configuration, as JSON. Raises NotFound."""
        return str(self._one("SELECT entries FROM configurations WHERE digest = ?", digest))

    def _one(self, query: str, key: str) -> Any:
        with self._reading():
            found = self._reader.execute(query, (key,)).fetchone()
        if found is None:
            raise NotFound(f"Nothing is recorded under {key!r}.", code="prices_unknown")
        return found[0]

    def close(self) -> None:
        """Let go of the file. Closing twice is closing once."""
        with self._lock, self._read_lock:
            self._reader.close()
            self._writer.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._read_lock:
            try:
                yield
            except sqlite3.Error as failure:
                raise _unavailable(failure) from failure

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                finally:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
            except sqlite3.Error as failure:
                raise _unavailable(failure) from failure
            self._own_changes += 1


def _rows(connection: sqlite3.Connection) -> list[Row]:
    found = connection.execute("SELECT * FROM prices ORDER BY number").fetchall()
    return [{**dict(row), "said": json.loads(row["said"])} for row in found]


def _last(connection: sqlite3.Connection) -> tuple[str, str] | None:
    found = connection.execute("SELECT release, configuration FROM editions ORDER BY number DESC LIMIT 1").fetchone()
    return None if found is None else (found["release"], found["configuration"])


def _connect(path: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as failure:
        raise _unavailable(failure) from failure
    return connection


def _make_private(path: Path) -> None:
    """The file, readable by its owner only: what was agreed with a provider is nobody else's business."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as failure:
        raise ConfigError(f"The table of prices cannot be opened: {failure}.") from failure


def _unavailable(failure: sqlite3.Error) -> Unavailable:
    return Unavailable(f"The table of prices cannot be used now: {failure}.", code="storage_unavailable")
