"""The rows of budgets in keys.sqlite: what may be spent. What was spent is in allowances.sqlite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from tollbook.errors import Conflict, NotFound

from .keyfile import KeyFile, Row, change, clean, put, taken


class BudgetTable:
    """Budgets of a `KeyFile`; what is said there holds here."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file

    def rows(self) -> list[Row]:
        """The budgets that were not removed, oldest first."""
        with self._file.reading() as connection:
            found = connection.execute("SELECT * FROM budgets WHERE removed IS NULL ORDER BY created, id")
            return [taken(row) for row in found]

    def insert(self, row: Mapping[str, Any], *, actor: str) -> None:
        """Add a budget. Raises Conflict for a name in use, NotFound for a key or team that is not there."""
        with self._file.changing() as connection:
            if _find(connection, row["name"]) is not None:
                raise Conflict(f"There is already a budget called {row['name']!r}.", code="budget_taken", param="name")
            _check_subject(connection, row["scope"], row["subject"])
            put(connection, "budgets", row)
            told = {name: value for name, value in row.items() if name not in ("id", "name", "created") and value}
            self._file.note(actor, "create", "budget", row["id"], row["name"], told)

    def find(self, id_or_name: str) -> Row:
        """A budget. Raises NotFound."""
        with self._file.reading() as connection:
            return _living(connection, id_or_name)

    def change(self, id_or_name: str, values: Mapping[str, Any], *, actor: str) -> Row:
        """Set columns; the row as it is then. Raises NotFound, and Conflict for a name in use."""
        with self._file.changing() as connection:
            row = _living(connection, id_or_name)
            if values.get("name", row["name"]) != row["name"] and _find(connection, values["name"]) is not None:
                raise Conflict(
                    f"There is already a budget called {values['name']!r}.", code="budget_taken", param="name"
                )
            told = change(connection, "budgets", row["id"], values)
            if told:
                self._file.note(actor, "change", "budget", row["id"], row["name"], told)
            return _living(connection, row["id"])

    def remove(self, id_or_name: str, *, actor: str) -> Row:
        """End a budget. Raises NotFound."""
        with self._file.changing() as connection:
            row = _living(connection, id_or_name)
            connection.execute("UPDATE budgets SET removed = ? WHERE id = ?", (self._file.clock(), row["id"]))
            self._file.note(actor, "remove", "budget", row["id"], row["name"])
            return row

    def note_reset(self, identifier: str, name: str, *, actor: str) -> None:
        """Say in the audit that what was spent of a budget, also of one of the configuration, counts no more."""
        self._file.note(actor, "reset", "budget", identifier, name)


def end_budgets(connection: sqlite3.Connection, scope: str, subject: str, now: int) -> None:
    """End the budgets of a key or team that has ended."""
    connection.execute(
        "UPDATE budgets SET removed = ? WHERE scope = ? AND subject = ? AND removed IS NULL", (now, scope, subject)
    )


def _check_subject(connection: sqlite3.Connection, scope: str, subject: str) -> None:
    if (
        scope == "key"
        and not connection.execute("SELECT 1 FROM keys WHERE id = ? AND revoked IS NULL", (subject,)).fetchone()
    ):
        raise NotFound(f"There is no key {subject!r}.", code="key_not_found", param="key")
    if (
        scope == "team"
        and not connection.execute("SELECT 1 FROM teams WHERE name = ? AND removed IS NULL", (subject,)).fetchone()
    ):
        raise NotFound(f"There is no team {subject!r}.", code="team_not_found", param="team")


def _find(connection: sqlite3.Connection, id_or_name: str) -> Row | None:
    found = connection.execute(
        "SELECT * FROM budgets WHERE (id = ?1 OR name = ?1) AND removed IS NULL ORDER BY id = ?1 DESC",
        (clean(id_or_name),),
    ).fetchone()
    return None if found is None else taken(found)


def _living(connection: sqlite3.Connection, id_or_name: str) -> Row:
    found = _find(connection, id_or_name)
    if found is None:
        raise NotFound(f"There is no budget {id_or_name!r}.", code="budget_not_found")
    return found
