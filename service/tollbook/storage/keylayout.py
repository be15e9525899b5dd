"""The tables of keys.sqlite, and how a file of an earlier layout becomes one of this."""

from __future__ import annotations

import sqlite3

from tollbook.errors import ConfigError
from tollbook.responses.ids import make_id

LAYOUT = 2

_SCHEMA = """
CREATE TABLE keys (
    id          TEXT PRIMARY KEY,
    alias       TEXT NOT NULL,
    hint        TEXT NOT NULL,         -- the end of the newest secret, for people to tell keys apart
    owner       TEXT,
    team        TEXT,                  -- the name of a team
    models      TEXT NOT NULL,         -- JSON list of patterns; none allow all
    tags        TEXT NOT NULL,         -- JSON list
    unpriced    TEXT NOT NULL,         -- allow, warn, block
    content     TEXT NOT NULL,         -- full, metadata, none
    rpm         INTEGER,
    tpm         INTEGER,
    max_parallel_requests INTEGER,
    created     INTEGER NOT NULL,      -- times are nanoseconds since 1970
    expires     INTEGER,
    last_used   INTEGER,
    blocked     INTEGER NOT NULL DEFAULT 0,
    revoked     INTEGER
) STRICT;
CREATE UNIQUE INDEX one_key_per_alias ON keys (alias) WHERE revoked IS NULL;
CREATE TABLE secrets (
    digest      BLOB PRIMARY KEY,      -- SHA-256 of the secret
    key_id      TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER                -- set when a newer one took its place
) STRICT, WITHOUT ROWID;
CREATE INDEX secrets_of_key ON secrets (key_id);
CREATE TABLE teams (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    models      TEXT NOT NULL,
    tags        TEXT NOT NULL,
    rpm         INTEGER,
    tpm         INTEGER,
    created     INTEGER NOT NULL,
    blocked     INTEGER NOT NULL DEFAULT 0,
    removed     INTEGER
) STRICT;
CREATE UNIQUE INDEX one_team_per_name ON teams (name) WHERE removed IS NULL;
CREATE TABLE budgets (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    scope       TEXT NOT NULL,         -- key, team, end_user, model, global
    subject     TEXT NOT NULL,         -- a key's id, a team's name, a pattern, or ""
    amount      INTEGER NOT NULL,      -- nano-USD
    span        TEXT NOT NULL,         -- the window: 24h, day, total ... ("window" is a word of SQL)
    zone        TEXT NOT NULL,
    soft        REAL,
    created     INTEGER NOT NULL,
    removed     INTEGER
) STRICT;
CREATE UNIQUE INDEX one_budget_per_name ON budgets (name) WHERE removed IS NULL;
CREATE TABLE audit (
    number      INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,         -- who did it: "cli:alice", "master", "master:alice" ...
    action      TEXT NOT NULL,         -- create, change, rotate, block, unblock, revoke, remove, reset
    kind        TEXT NOT NULL,         -- key, team, budget
    subject     TEXT NOT NULL,         -- its id
    name        TEXT NOT NULL,         -- its alias or name at that time
    details     TEXT NOT NULL          -- JSON object; never a secret
) STRICT;
"""


def bring_up(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables, or bring those of an earlier layout up to this one, within the caller's transaction.

    Raises ConfigError for a file of a later layout.
    """
    (layout,) = connection.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        raise ConfigError(f"{path} was written by a newer Tollbook (layout {layout}, known {LAYOUT}).")
    if layout == LAYOUT:
        return
    if layout == 1:
        _set_aside(connection)
    for statement in _SCHEMA.split(";\n"):
        connection.execute(statement)
    if layout == 1:
        _take_over(connection)
    connection.execute(f"PRAGMA user_version = {LAYOUT}")


def _set_aside(connection: sqlite3.Connection) -> None:
    connection.execute("DROP INDEX one_key_per_alias")
    connection.execute("ALTER TABLE keys RENAME TO old_keys")
    connection.execute("ALTER TABLE audit RENAME TO old_audit")


def _take_over(connection: sqlite3.Connection) -> None:
    """From layout 1: one secret for each key, teams that were mere names, an audit of keys alone."""
    connection.execute(
        """
        INSERT INTO keys (
            id, alias, hint, owner, team, models, tags, unpriced, content, created, expires, last_used, blocked, revoked
        )
        SELECT id, alias, hint, owner, team, models, '[]', 'allow', 'full', created, expires, last_used, blocked, revoked
        FROM old_keys
        """
    )
    connection.execute("INSERT INTO secrets SELECT digest, id, created, NULL FROM old_keys")
    for name, created in connection.execute(
        "SELECT team, min(created) FROM old_keys WHERE team IS NOT NULL GROUP BY team"
    ).fetchall():
        connection.execute(
            "INSERT INTO teams (id, name, models, tags, created) VALUES (?, ?, '[]', '[]', ?)",
            (make_id("team"), name, created),
        )
    connection.execute(
        """
        INSERT INTO audit (number, at, actor, action, kind, subject, name, details)
        SELECT number, at, actor, action, 'key', key_id, alias, details FROM old_audit
        """
    )
    connection.execute("DROP TABLE old_keys")
    connection.execute("DROP TABLE old_audit")
