"""How far hours are rolled and days sealed, and what has changed before that since."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import duckdb

ROLLED, SEALED = "rolled", "sealed"


def until(cursor: duckdb.DuckDBPyConnection, name: str) -> datetime | None:
    """How far; None before the first."""
    found: datetime | None = cursor.execute("SELECT max(until) FROM progress WHERE name = ?", [name]).fetchall()[0][0]
    return found


def go_to(cursor: duckdb.DuckDBPyConnection, name: str, moment: datetime) -> None:
    """It is done so far."""
    cursor.execute("DELETE FROM progress WHERE name = ?", [name])
    cursor.execute("INSERT INTO progress VALUES (?, ?)", [name, moment])


def touch(cursor: duckdb.DuckDBPyConnection, hours: Collection[datetime]) -> None:
    """Something changed in these hours: those that are rolled already are to be rolled again."""
    rolled = until(cursor, ROLLED)
    late = [hour for hour in hours if rolled is not None and hour < rolled]
    if late:
        cursor.execute("INSERT INTO touched SELECT unnest(?), false", [late])
