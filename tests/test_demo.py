"""A demo plays a month through the whole gateway into a folder of its own, and is gone by one command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tollbook.demo.script import script, storm
from tollbook.demo.stage import play
from tollbook.errors import ConfigError

UNTIL = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "books"


@pytest.fixture(scope="module")
def books(folder: Path) -> duckdb.DuckDBPyConnection:
    played = asyncio.run(play(folder, UNTIL, days=30, calls=150))
    found = duckdb.connect(str(folder / "tollbook.duckdb"), read_only=True)
    told = found.execute("SELECT count(*) FILTER (answered), sum(cost_nano) FROM spend").fetchone()
    assert told == (played.calls, played.cost)
    return found


def test_every_call_lies_in_the_month_and_took_a_believable_time(books: duckdb.DuckDBPyConnection) -> None:
    first, last, quick, slow = books.execute(
        "SELECT min(started), max(started), min(duration_ms), max(duration_ms) FROM spend WHERE outcome = 'completed'"
    ).fetchall()[0]

    assert UNTIL - timedelta(days=30) <= first.replace(tzinfo=UTC)
    assert last.replace(tzinfo=UTC) <= UNTIL + timedelta(hours=1)
    assert 5 < quick < slow < 120_000


def test_keys_teams_users_models_a_storm_and_an_unpriced_model_are_there(books: duckdb.DuckDBPyConnection) -> None:
    aliases, teams, users, models = books.execute(
        "SELECT count(DISTINCT key_alias), count(DISTINCT team), count(DISTINCT end_user), count(DISTINCT model) FROM spend"
    ).fetchall()[0]
    unpriced = books.execute(
        "SELECT count(*) FROM spend WHERE cost_status = 'unpriced' AND model = 'llama-tuned'"
    ).fetchone()
    marked = books.execute("SELECT count(*) FROM spend WHERE NOT list_contains(tags, 'demo')").fetchone()

    assert aliases == teams == 5
    assert users > 10
    assert models >= 6
    assert unpriced is not None
    assert unpriced[0] > 0
    assert marked == (0,)


def test_conversations_are_chains(books: duckdb.DuckDBPyConnection) -> None:
    longest = books.execute("SELECT max(turn) FROM spend").fetchone()
    kept = books.execute("SELECT count(*) FROM turns").fetchone()

    assert longest is not None
    assert longest[0] >= 4
    assert kept is not None
    assert kept[0] > 100


def test_the_same_seed_plays_the_same_script_and_a_storm_rages_on_a_working_day() -> None:
    assert script(UNTIL, days=30, calls=200) == script(UNTIL, days=30, calls=200)
    assert storm(UNTIL).start.weekday() < 4


def test_other_peoples_books_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tollbook.duckdb").write_text("somebody's")

    with pytest.raises(ConfigError):
        asyncio.run(play(tmp_path, UNTIL, days=1, calls=10))
    told = demo("--remove", "--data-dir", str(tmp_path))
    assert told.returncode == 1
    assert "nothing was removed" in told.stderr
    assert (tmp_path / "tollbook.duckdb").read_text() == "somebody's"


def test_it_is_filled_and_removed_from_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "demo"

    told = demo("--fill-only", "--data-dir", str(folder), "--calls", "20", "--days", "2")
    again = demo("--fill-only", "--data-dir", str(folder))
    removed = demo("--remove", "--data-dir", str(folder))

    assert (told.returncode, again.returncode, removed.returncode) == (0, 0, 0), told.stderr
    assert "that nobody paid" in told.stderr
    assert "filled already" in again.stderr
    assert not folder.exists()


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tollbook", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
