"""The table of virtual keys, and the audit of what was done to them: one SQLite file, shared by workers and the CLI.

Secrets are not in it, only their SHA-256. Rows are never removed: a revoked key still names the calls it made.
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
from typing import Any

from tollbook.errors import ConfigError, Conflict, NotFound, Unavailable

FILE = "keys.sqlite"
_LAYOUT = 1
_WAIT = 5.0
"""Seconds to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id         TEXT PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,  -- SHA-256 of the secret
    hint       TEXT NOT NULL,         -- the secret's end, for people to tell keys apart
    alias      TEXT NOT NULL,
    owner      TEXT,
    team       TEXT,
    models     TEXT NOT NULL,         -- JSON list of patterns
    created    INTEGER NOT NULL,      -- times are nanoseconds since 1970
    expires    INTEGER,
    last_used  INTEGER,
    blocked    INTEGER NOT NULL DEFAULT 0,
    revoked    INTEGER
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_key_per_alias ON keys (alias) WHERE revoked IS NULL;
CREATE TABLE IF NOT EXISTS audit (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,            -- who did it: "cli:alice", "master" ...
    action  TEXT NOT NULL,            -- create, revoke, block, unblock
    key_id  TEXT NOT NULL,
    alias   TEXT NOT NULL,
    details TEXT NOT NULL             -- JSON object; never a secret
) STRICT;
"""

Row = dict[str, Any]
"""One row of `keys`, by column; `models` is a list."""


class KeyTable:
    """Rows of keys on disk (`keys.sqlite` in `directory`), or in memory when there is no directory.

    Safe to use from several threads and processes. Every change is on disk, with its audit row, when the method returns.
    Methods raise Unavailable (code "storage_unavailable") when the file cannot be read or written.
    """

    def __init__(self, directory: Path | None = None, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
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
        with self._transaction():
            (layout,) = self._writer.execute("PRAGMA user_version").fetchone()
            if layout > _LAYOUT:
                raise ConfigError(f"{self.path} was written by a newer Tollbook (layout {layout}, known {_LAYOUT}).")
            for statement in _SCHEMA.split(";\n"):
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA user_version = {_LAYOUT}")

    def version(self) -> tuple[int, int]:
        """Another value after every change, whoever made it. Costs microseconds and never waits for a writer."""
        with self._reading():
            # data_version counts the commits of other connections, so also of this table's writer, but not in memory.
            return self._reader.execute("PRAGMA data_version").fetchone()[0], self._own_changes

    def rows(self) -> list[Row]:
        """All keys, oldest first, revoked ones included."""
        with self._reading():
            found = self._reader.execute("SELECT * FROM keys ORDER BY created, id").fetchall()
        return [{**dict(row), "models": json.loads(row["models"]), "blocked": bool(row["blocked"])} for row in found]

    def insert(self, row: Mapping[str, Any], *, actor: str) -> None:
        """Add a key. Raises Conflict when a key that is not revoked has its alias."""
        with self._transaction() as connection:
            values = {**row, "models": json.dumps(list(row["models"])), "blocked": int(row.get("blocked", False))}
            columns = ("id", "digest", "hint", "alias", "owner", "team", "models", "created", "expires", "blocked")
            if connection.execute("SELECT 1 FROM keys WHERE alias = ? AND revoked IS NULL", (row["alias"],)).fetchone():
                raise Conflict(f"There is already a key called {row['alias']!r}.", code="alias_taken", param="alias")
            connection.execute(
                f"INSERT INTO keys ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 - own names
                [values[column] for column in columns],
            )
            details = {name: row[name] for name in ("owner", "team", "models", "expires") if row[name]}
            self._audit(connection, actor=actor, action="create", key_id=row["id"], alias=row["alias"], details=details)

    def revoke(self, id_or_alias: str, *, actor: str) -> str:
        """End a key for good; returns its id. Raises NotFound for one that is absent or was revoked before."""
        with self._transaction() as connection:
            key_id, alias = self._living(connection, id_or_alias)
            connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (self._clock(), key_id))
            self._audit(connection, actor=actor, action="revoke", key_id=key_id, alias=alias)
            return key_id

    def block(self, id_or_alias: str, blocked: bool, *, actor: str) -> str:
        """Suspend a key, or let it be used again; returns its id. Raises NotFound as `revoke` does."""
        with self._transaction() as connection:
            key_id, alias = self._living(connection, id_or_alias)
            connection.execute("UPDATE keys SET blocked = ? WHERE id = ?", (int(blocked), key_id))
            action = "block" if blocked else "unblock"
            self._audit(connection, actor=actor, action=action, key_id=key_id, alias=alias)
            return key_id

    def touch(self, used: Mapping[str, int]) -> None:
        """Note when keys were last used. Earlier times than the noted one change nothing."""
        if not used:
            return
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE keys SET last_used = ?1 WHERE id = ?2 AND coalesce(last_used, 0) < ?1",
                [(at, key_id) for key_id, at in used.items()],
            )

    def audit(self, limit: int = 1000) -> list[Row]:
        """What was done, newest first."""
        with self._reading():
            found = self._reader.execute("SELECT * FROM audit ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
        return [{**dict(row), "details": json.loads(row["details"])} for row in found]

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

    def _audit(
        self,
        connection: sqlite3.Connection,
        *,
        actor: str,
        action: str,
        key_id: str,
        alias: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        connection.execute(
            "INSERT INTO audit (at, actor, action, key_id, alias, details) VALUES (?, ?, ?, ?, ?, ?)",
            (self._clock(), actor, action, key_id, alias, json.dumps(details or {})),
        )

    def _living(self, connection: sqlite3.Connection, id_or_alias: str) -> tuple[str, str]:
        found = connection.execute(
            "SELECT id, alias FROM keys WHERE (id = ?1 OR alias = ?1) AND revoked IS NULL ORDER BY id = ?1 DESC",
            # A lone surrogate, which a decoded URL may hold, is in no key's name; SQLite would not take it.
            (id_or_alias.encode("utf-8", "replace").decode(),),
        ).fetchone()
        if found is None:
            raise NotFound(f"There is no key {id_or_alias!r}.", code="key_not_found")
        return found["id"], found["alias"]


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
