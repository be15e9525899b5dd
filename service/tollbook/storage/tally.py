"""What is counted of budgets and limits: one transaction of allowances.sqlite, and its tables.

What the counts mean is said by `access/admission.py`.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from tollbook.errors import ConfigError

LAYOUT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    account  TEXT NOT NULL,
    begins   INTEGER NOT NULL,       -- nanoseconds since 1970: the piece of time in which it was spent
    ends     INTEGER NOT NULL,
    amount   INTEGER NOT NULL,       -- nano-USD
    PRIMARY KEY (account, begins, ends)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    call_id  TEXT NOT NULL,
    account  TEXT NOT NULL,
    bound    INTEGER NOT NULL,       -- nano-USD, tokens or calls
    at       INTEGER NOT NULL,
    worker   TEXT NOT NULL,          -- "" for a response that is made in background: it outlives its worker
    PRIMARY KEY (call_id, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_of_account ON holds (account, bound);
CREATE TABLE IF NOT EXISTS buckets (
    account  TEXT PRIMARY KEY,
    full_at  INTEGER NOT NULL,
    seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS warned (
    account  TEXT PRIMARY KEY,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_LAST = "\U0010ffff"
"""Comes after every letter."""

_REMEMBERED = 10_000
"""Accounts of which it is remembered that they were tidied."""


class Held(NamedTuple):
    """What a call reserved on an account, and when."""

    account: str
    bound: int
    at: int


class Tally:
    """One transaction. Sums are remembered within it, for nobody else can change them."""

    __slots__ = ("_connection", "_pruned", "_reserved", "_spent", "_worker", "now")

    def __init__(self, connection: sqlite3.Connection, worker: str, now: int, pruned: dict[str, int]) -> None:
        self._connection = connection
        self._worker = worker
        self.now = now
        self._pruned = pruned
        self._spent: dict[tuple[str, int], int] = {}
        self._reserved: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------------------------ money

    def spent(self, account: str, since: int) -> int:
        """What was spent in pieces of time that end after `since`."""
        known = self._spent.get((account, since))
        if known is None:
            known = self._spent[account, since] = self._one(
                "SELECT coalesce(sum(amount), 0) FROM spent WHERE account = ? AND ends > ?", account, since
            )
        return known

    def pieces(self, account: str, since: int) -> list[tuple[int, int]]:
        """The same piece by piece: when it ends, and how much. Oldest first."""
        found = self._connection.execute(
            "SELECT ends, amount FROM spent WHERE account = ? AND ends > ? ORDER BY ends", (account, since)
        )
        return found.fetchall()

    def spend(self, account: str, grain: tuple[int, int], amount: int, forget: int) -> None:
        """Count money in a piece of time, from its begin to its end. Pieces that ended before `forget` are of no use any more."""
        if self._pruned.get(account) != grain[0]:
            if len(self._pruned) >= _REMEMBERED:
                self._pruned.clear()
            self._pruned[account] = grain[0]
            self._connection.execute("DELETE FROM spent WHERE account = ? AND ends <= ?", (account, forget))
        self._connection.execute(
            "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            (account, *grain, amount),
        )
        for known, since in self._spent:
            if known == account and grain[1] > since:
                self._spent[known, since] += amount

    def reset(self, account: str) -> None:
        """Nothing was spent on an account, and no warning given. What is reserved stays."""
        self._connection.execute("DELETE FROM spent WHERE account = ?", (account,))
        self._connection.execute("DELETE FROM warned WHERE account = ?", (account,))
        self._spent.clear()

    def accounts(self, prefix: str) -> list[str]:
        """The accounts that begin so, on which something was spent."""
        found = self._connection.execute(
            "SELECT DISTINCT account FROM spent WHERE account >= ? AND account < ?", (prefix, prefix + _LAST)
        )
        return [account for (account,) in found]

    def shares(self, prefix: str, since: int) -> list[tuple[str, int, int]]:
        """Of each account that begins so: what was spent in pieces of time that end after `since`, and what is reserved. Those
        with the most come first; those with nothing are left out."""
        found = self._connection.execute(
            """
            SELECT account, sum(spent) AS spent, sum(reserved) FROM (
                SELECT account, amount AS spent, 0 AS reserved FROM spent
                WHERE account >= ?1 AND account < ?2 AND ends > ?3
                UNION ALL
                SELECT account, 0, bound FROM holds WHERE account >= ?1 AND account < ?2
            )
            GROUP BY account HAVING sum(spent) > 0 OR sum(reserved) > 0 ORDER BY spent DESC, account
            """,
            (prefix, prefix + _LAST, since),
        )
        return found.fetchall()

    # ----------------------------------------------------------------------------------------------------- reservations

    def reserved(self, account: str) -> int:
        """What calls under way hold of an account."""
        known = self._reserved.get(account)
        if known is None:
            known = self._reserved[account] = self._one(
                "SELECT coalesce(sum(bound), 0) FROM holds WHERE account = ?", account
            )
        return known

    def hold(self, call_id: str, account: str, bound: int) -> None:
        """Reserve so much for a call, beside what it holds there already."""
        self._connection.execute(
            "INSERT INTO holds VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET bound = bound + excluded.bound",
            (call_id, account, bound, self.now, self._worker),
        )
        if account in self._reserved:
            self._reserved[account] += bound

    def held(self, call_id: str) -> list[Held]:
        """What a call holds."""
        found = self._connection.execute("SELECT account, bound, at FROM holds WHERE call_id = ?", (call_id,))
        return [Held(*row) for row in found]

    def release(self, call_id: str) -> list[Held]:
        """What a call held; it holds nothing any more."""
        held = self.held(call_id)
        if held:
            self._connection.execute("DELETE FROM holds WHERE call_id = ?", (call_id,))
        for account, bound, _ in held:
            if account in self._reserved:
                self._reserved[account] -= bound
        return held

    def hand_over(self, call_id: str, to: str, *, without: str) -> None:
        """What a call holds is held by another one, which belongs to no worker, except on accounts that begin so."""
        self._connection.execute("DELETE FROM holds WHERE call_id = ? AND account GLOB ? || '*'", (call_id, without))
        self._connection.execute(
            "UPDATE OR REPLACE holds SET call_id = ?, worker = '' WHERE call_id = ?", (to, call_id)
        )
        self._reserved.clear()

    def let_go(self, *, free: int, forget: int) -> None:
        """What no worker holds and nobody settled: it reserves nothing when it is older than `free`, and is forgotten when it
        is older than `forget`."""
        self._connection.execute("UPDATE holds SET bound = 0 WHERE worker = '' AND at <= ? AND bound > 0", (free,))
        self._connection.execute("DELETE FROM holds WHERE worker = '' AND at <= ?", (forget,))
        self._reserved.clear()

    def holders(self) -> dict[str, list[str]]:
        """The calls that hold something, by worker."""
        found: dict[str, list[str]] = {}
        for worker, call_id in self._connection.execute(
            "SELECT DISTINCT worker, call_id FROM holds WHERE worker <> ''"
        ):
            found.setdefault(worker, []).append(call_id)
        return found

    # ----------------------------------------------------------------------------------------------- limits and warnings

    def bucket(self, account: str) -> tuple[int, int]:
        """When it will be full, and when it was looked at; (0, 0) for one that is new."""
        found = self._connection.execute("SELECT full_at, seen FROM buckets WHERE account = ?", (account,)).fetchone()
        return found or (0, 0)

    def fill(self, account: str, full_at: int, seen: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?)", (account, full_at, seen))

    def drop_full(self, before: int) -> None:
        """Buckets that were full by then: they are as good as new."""
        self._connection.execute("DELETE FROM buckets WHERE full_at < ?", (before,))

    def warned(self, account: str) -> int:
        """When a warning was given last; 0 if none was."""
        return self._one("SELECT coalesce(max(at), 0) FROM warned WHERE account = ?", account)

    def warn(self, account: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO warned VALUES (?, ?)", (account, self.now))

    def _one(self, query: str, *values: Any) -> int:
        (found,) = self._connection.execute(query, values).fetchone()
        return int(found)


def lay_out(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, within the caller's transaction. Raises ConfigError for a file of a later layout."""
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        raise ConfigError(f"{path} was written by a newer Tollbook (layout {layout}, known {LAYOUT}).")
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {LAYOUT}")
