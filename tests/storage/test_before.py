"""Books that 0.1 kept are read, and go on as today's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb

from tollbook.storage import open_store
from tollbook.storage.journal import Journal

BOOKS = Path(__file__).with_name("books_of_0_1")
CALL = "call_0193a5b2c3d40000000000000000000a"
REJECTED = "call_0193a5b2c3d50000000000000000000b"


async def test_tables_of_0_1_become_the_ledger(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "tollbook.duckdb")) as old:
        for statement in (BOOKS / "tables.sql").read_text().split(";\n"):
            old.execute(statement)

    for _ in range(2):
        store = open_store(tmp_path)
        told = await store.call(CALL, "key_1")
        refused = await store.call(REJECTED, "key_1")
        listed = await store.calls(key_id=None, limit=10, before=None)
        await store.close()

        assert listed == [refused, told]
        assert told["tags"] == ["blue", "green"]
        assert told["cost"]["nano_usd"] == 450_000
        assert [attempt["answered"] for attempt in told["attempts"]] == [False, True]
        assert told["attempts"][1]["usage"] == {
            **dict.fromkeys(told["usage"], 0),
            "input": 100,
            "output": 20,
            "tools": {"web_search": 1},
            "source": "provider",
            "reported_cost": None,
            "units": None,
        }
        assert told["attempts"][1]["cost"]["lines"] == [
            {"kind": "input", "quantity": 100, "rate_pico": 2_500_000, "amount_nano": 250_000},
            {"kind": "output", "quantity": 20, "rate_pico": None, "amount_nano": 200_000},
        ]
        assert (refused["attempts"], refused["status"], refused["cost"]["status"]) == ([], 400, "free")
    with duckdb.connect(str(tmp_path / "tollbook.duckdb"), read_only=True) as books:
        found = books.execute(
            "SELECT sum(cost_nano), sum(cost_input_nano), sum(cost_output_nano) FROM spend"
        ).fetchall()
    assert found == [(450_000, 250_000, 200_000)]


async def test_a_journal_of_0_1_is_taken_over(tmp_path: Path) -> None:
    facts = bytes.fromhex((BOOKS / "facts.hex").read_text())
    (tmp_path / "journals").mkdir()
    Journal(tmp_path / "journals" / "old.sqlite").close()
    with sqlite3.connect(tmp_path / "journals" / "old.sqlite") as file:
        file.execute("UPDATE identity SET format = 1")
        row = (1_795_378_840_000_000_000, CALL, facts)
        file.execute("INSERT INTO entries (recorded, call_id, facts) VALUES (?, ?, ?)", row)
    file.close()

    for _ in range(2):  # from the journal, then from the tables
        store = open_store(tmp_path)
        told = await store.call(CALL, None)
        await store.close()

        assert (told["model"], told["end_user"], told["parent_span"]) == ("gpt-4o", "ann", ["aa", "bb"])
        assert [attempt["answered"] for attempt in told["attempts"]] == [False, True]
        assert told["cost"]["nano_usd"] == 450_000
