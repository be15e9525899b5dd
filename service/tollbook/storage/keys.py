"""The rows of virtual keys in keys.sqlite. Secrets are not in it, only their SHA-256. Rows are never removed: a revoked key
still names the calls it made."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tollbook.errors import Conflict, NotFound

from .budgets import BudgetTable, end_budgets
from .keyfile import FILE, KeyFile, Row, change, clean, put, taken
from .teams import TeamTable

__all__ = ["FILE", "KeyTable", "Snapshot"]


class Snapshot(NamedTuple):
    """Everything that decides who may do what, as it is at one moment. Removed rows of teams and budgets are left out."""

    keys: list[Row]
    secrets: list[Row]
    teams: list[Row]
    budgets: list[Row]


class KeyTable(KeyFile):
    """The rows of keys; `teams` and `budgets` are those of the same file."""

    def __init__(self, directory: Path | None = None, *, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(directory, clock=clock)
        self.teams = TeamTable(self)
        self.budgets = BudgetTable(self)

    def snapshot(self) -> Snapshot:
        """All rows that count now."""
        with self.reading() as connection:
            secrets = connection.execute("SELECT * FROM secrets").fetchall()
            return Snapshot(self.rows(), list(map(dict, secrets)), self.teams.rows(), self.budgets.rows())

    def rows(self) -> list[Row]:
        """All keys, oldest first, revoked ones included."""
        with self.reading() as connection:
            return [taken(row) for row in connection.execute("SELECT * FROM keys ORDER BY created, id")]

    def find(self, id_or_alias: str) -> Row:
        """A key that is not revoked. Raises NotFound."""
        with self.reading() as connection:
            return _living(connection, id_or_alias)

    def insert(self, row: Mapping[str, Any], digest: bytes, *, actor: str) -> None:
        """Add a key and its secret. Raises Conflict when a key that is not revoked has its alias."""
        with self.changing() as connection:
            _free(connection, row["alias"])
            self.teams.ensure(row["team"], actor=actor)
            put(connection, "keys", row)
            _keep(connection, digest, row["id"], row["created"])
            plain = ("id", "alias", "hint", "created")
            told = {name: value for name, value in row.items() if value and name not in plain}
            told = {name: value for name, value in told.items() if _PLAIN.get(name) != value}
            self.note(actor, "create", "key", row["id"], row["alias"], told)

    def change(self, id_or_alias: str, values: Mapping[str, Any], *, actor: str) -> Row:
        """Set columns; the row as it is then. Raises NotFound, and Conflict for an alias in use."""
        with self.changing() as connection:
            row = _living(connection, id_or_alias)
            if values.get("alias", row["alias"]) != row["alias"]:
                _free(connection, values["alias"])
            self.teams.ensure(values.get("team"), actor=actor)
            told = change(connection, "keys", row["id"], values)
            if told:
                self.note(actor, "change", "key", row["id"], row["alias"], told)
            return _living(connection, row["id"])

    def rotate(self, id_or_alias: str, digest: bytes, hint: str, *, now: int, until: int, actor: str) -> Row:
        """Another secret; those that it had are good until then at the latest. Raises NotFound as `change` does."""
        with self.changing() as connection:
            row = _living(connection, id_or_alias)
            connection.execute(
                "UPDATE secrets SET expires = min(coalesce(expires, ?1), ?1) WHERE key_id = ?2", (until, row["id"])
            )
            connection.execute("DELETE FROM secrets WHERE key_id = ? AND expires <= ?", (row["id"], now))
            _keep(connection, digest, row["id"], now)
            connection.execute("UPDATE keys SET hint = ? WHERE id = ?", (hint, row["id"]))
            self.note(actor, "rotate", "key", row["id"], row["alias"], {"until": until})
            return {**row, "hint": hint}

    def revoke(self, id_or_alias: str, *, actor: str) -> str:
        """End a key for good, and its budgets; returns its id. Raises NotFound for one that is absent or was revoked before."""
        with self.changing() as connection:
            row = _living(connection, id_or_alias)
            connection.execute("UPDATE keys SET revoked = ? WHERE id = ?", (self.clock(), row["id"]))
            connection.execute("DELETE FROM secrets WHERE key_id = ?", (row["id"],))
            end_budgets(connection, "key", row["id"], self.clock())
            self.note(actor, "revoke", "key", row["id"], row["alias"])
            return str(row["id"])

    def block(self, id_or_alias: str, blocked: bool, *, actor: str) -> str:
        """Suspend a key, or let it be used again; returns its id. Raises NotFound as `revoke` does."""
        with self.changing() as connection:
            row = _living(connection, id_or_alias)
            connection.execute("UPDATE keys SET blocked = ? WHERE id = ?", (int(blocked), row["id"]))
            self.note(actor, "block" if blocked else "unblock", "key", row["id"], row["alias"])
            return str(row["id"])

    def touch(self, used: Mapping[str, int]) -> None:
        """Note when keys were last used. Earlier times than the noted one change nothing."""
        if not used:
            return
        with self.changing() as connection:
            connection.executemany(
                "UPDATE keys SET last_used = ?1 WHERE id = ?2 AND coalesce(last_used, 0) < ?1",
                [(at, key_id) for key_id, at in used.items()],
            )


_PLAIN = {"unpriced": "allow", "content": "full"}
"""What goes without saying in the audit."""


def _keep(connection: sqlite3.Connection, digest: bytes, key_id: str, created: int) -> None:
    connection.execute("INSERT INTO secrets (digest, key_id, created) VALUES (?, ?, ?)", (digest, key_id, created))


def _free(connection: sqlite3.Connection, alias: str) -> None:
    if connection.execute("SELECT 1 FROM keys WHERE alias = ? AND revoked IS NULL", (alias,)).fetchone():
        raise Conflict(f"There is already a key called {alias!r}.", code="alias_taken", param="alias")


def _living(connection: sqlite3.Connection, id_or_alias: str) -> Row:
    found = connection.execute(
        "SELECT * FROM keys WHERE (id = ?1 OR alias = ?1) AND revoked IS NULL ORDER BY id = ?1 DESC",
        (clean(id_or_alias),),
    ).fetchone()
    if found is None:
        raise NotFound(f"There is no key {id_or_alias!r}.", code="key_not_found")
    return taken(found)
