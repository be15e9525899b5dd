"""A keys.sqlite of an earlier layout is taken over without loss."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from tollbook.access.keys import Keys
from tollbook.storage.keys import FILE, KeyTable

LAYOUT_1 = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, hint TEXT NOT NULL, alias TEXT NOT NULL, owner TEXT, team TEXT,
    models TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, last_used INTEGER, blocked INTEGER NOT NULL DEFAULT 0,
    revoked INTEGER
) STRICT;
CREATE UNIQUE INDEX one_key_per_alias ON keys (alias) WHERE revoked IS NULL;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, key_id TEXT NOT NULL,
    alias TEXT NOT NULL, details TEXT NOT NULL
) STRICT;
INSERT INTO audit VALUES (7, 1000, 'cli:ann', 'create', 'key_1', 'ci', '{"team": "build"}');
PRAGMA user_version = 1;
"""
"""As the first version made it."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.executescript(LAYOUT_1)
        rows = [
            ("key_1", "sk-tb-one", "ci", "ann", "build", '["gpt-*"]', 1000, 2**62, 1500, 0, None),
            ("key_2", "sk-tb-two", "cd", None, "build", "[]", 2000, None, None, 1, None),
            ("key_3", "sk-tb-three", "ci", None, "ship", "[]", 500, None, None, 0, 900),
        ]
        for key_id, secret, alias, *rest in rows:
            digest = sha256(secret.encode()).digest()
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (key_id, digest, secret[-4:], alias, *rest),
            )
    connection.close()
    return tmp_path


def test_keys_secrets_and_audit_are_as_they_were(old: Path) -> None:
    table = KeyTable(old)
    keys = Keys(table, master_key="master")

    one, two = sorted(keys.list(), key=lambda key: key.id)
    assert (one.id, one.alias, one.owner, one.team, one.models) == ("key_1", "ci", "ann", "build", ("gpt-*",))
    assert (one.created, one.expires, one.last_used, one.hint) == (1000, 2**62, 1500, "-one")
    assert (one.tags, one.unpriced, one.content, one.rpm) == ((), "allow", "full", None)
    assert (two.blocked, [key.id for key in keys.list(revoked=True)]) == (True, ["key_3", "key_1", "key_2"])
    assert keys.authenticate("sk-tb-one").key_id == "key_1"
    (row,) = table.audit()
    assert (row["number"], row["kind"], row["subject"], row["name"]) == (7, "key", "key_1", "ci")
    assert (row["actor"], row["action"], row["details"]) == ("cli:ann", "create", {"team": "build"})
    table.close()


def test_teams_that_were_mere_names_are_teams(old: Path) -> None:
    table = KeyTable(old)
    keys = Keys(table)

    assert [(team.name, team.created, team.models) for team in keys.teams.list()] == [
        ("build", 1000, ()),
        ("ship", 500, ()),
    ]
    table.close()


def test_a_revoked_key_stays_revoked_and_its_alias_free_or_taken_as_before(old: Path) -> None:
    table = KeyTable(old)
    keys = Keys(table, master_key="master")

    with pytest.raises(Exception, match="not valid"):
        keys.authenticate("sk-tb-three")
    with pytest.raises(Exception, match="already a key"):
        keys.create("ci")
    table.close()


def test_the_second_start_changes_nothing(old: Path) -> None:
    KeyTable(old).close()
    with sqlite3.connect(old / FILE) as connection:
        before = list(connection.iterdump())
    connection.close()

    KeyTable(old).close()

    with sqlite3.connect(old / FILE) as connection:
        assert list(connection.iterdump()) == before
    connection.close()


def test_a_takeover_that_fails_leaves_the_old_file(old: Path) -> None:
    """Half of one would be neither the old nor the new layout."""
    with sqlite3.connect(old / FILE) as connection:
        connection.execute("CREATE TABLE secrets (something TEXT)")
        before = list(connection.iterdump())
    connection.close()

    with pytest.raises(Exception, match="secrets"):
        KeyTable(old)

    with sqlite3.connect(old / FILE) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
