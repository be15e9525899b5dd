"""The rows of teams in keys.sqlite. A removed team still names the calls of its keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from tollbook.errors import Conflict, NotFound
from tollbook.responses.ids import make_id

from .budgets import end_budgets
from .keyfile import KeyFile, Row, change, clean, put, taken


class TeamTable:
    """Teams of a `KeyFile`; what is said there holds here."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file

    def rows(self) -> list[Row]:
        """The teams that were not removed, by name."""
        with self._file.reading() as connection:
            return [taken(row) for row in connection.execute("SELECT * FROM teams WHERE removed IS NULL ORDER BY name")]

    def find(self, name: str) -> Row:
        """A team, by name or id. Raises NotFound."""
        with self._file.reading() as connection:
            return _living(connection, name)

    def insert(self, row: Mapping[str, Any], *, actor: str) -> None:
        """Add a team. Raises Conflict for a name in use."""
        with self._file.changing() as connection:
            if _find(connection, row["name"]) is not None:
                raise Conflict(f"There is already a team called {row['name']!r}.", code="team_taken", param="name")
            put(connection, "teams", row)
            told = {name: value for name, value in row.items() if value and name not in ("id", "name", "created")}
            self._file.note(actor, "create", "team", row["id"], row["name"], told)

    def ensure(self, name: str | None, *, actor: str) -> None:
        """Make a team without terms of its own, if a key's team is not there."""
        with self._file.changing() as connection:
            if name is not None and _find(connection, name) is None:
                row = {"id": make_id("team"), "name": name, "models": [], "tags": [], "created": self._file.clock()}
                self.insert(row, actor=actor)

    def change(self, name: str, values: Mapping[str, Any], *, actor: str) -> Row:
        """Set columns; the row as it is then. Raises NotFound."""
        with self._file.changing() as connection:
            row = _living(connection, name)
            told = change(connection, "teams", row["id"], values)
            if told:
                self._file.note(actor, "change", "team", row["id"], row["name"], told)
            return _living(connection, name)

    def block(self, name: str, blocked: bool, *, actor: str) -> Row:
        """Suspend all keys of a team, or let them be used again. Raises NotFound."""
        with self._file.changing() as connection:
            row = _living(connection, name)
            connection.execute("UPDATE teams SET blocked = ? WHERE id = ?", (int(blocked), row["id"]))
            self._file.note(actor, "block" if blocked else "unblock", "team", row["id"], row["name"])
            return {**row, "blocked": blocked}

    def remove(self, name: str, *, actor: str) -> Row:
        """End a team and its budgets. Raises NotFound, and Conflict while keys belong to it."""
        with self._file.changing() as connection:
            row = _living(connection, name)
            (keys,) = connection.execute(
                "SELECT count(*) FROM keys WHERE team = ? AND revoked IS NULL", (row["name"],)
            ).fetchone()
            if keys:
                verb = "1 key belongs" if keys == 1 else f"{keys} keys belong"
                raise Conflict(f"{verb} to the team {row['name']!r}.", code="team_has_keys")
            connection.execute("UPDATE teams SET removed = ? WHERE id = ?", (self._file.clock(), row["id"]))
            end_budgets(connection, "team", row["name"], self._file.clock())
            self._file.note(actor, "remove", "team", row["id"], row["name"])
            return row


def _find(connection: sqlite3.Connection, name: str) -> Row | None:
    found = connection.execute(
        "SELECT * FROM teams WHERE (name = ?1 OR id = ?1) AND removed IS NULL ORDER BY name = ?1 DESC", (clean(name),)
    ).fetchone()
    return None if found is None else taken(found)


def _living(connection: sqlite3.Connection, name: str) -> Row:
    found = _find(connection, name)
    if found is None:
        raise NotFound(f"There is no team {name!r}.", code="team_not_found")
    return found
