"""The book follows the table, and can say what counted when: real SQLite files, the real catalogue packed and unpacked."""

from __future__ import annotations

import dataclasses
import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tollbook.config import PriceEntry
from tollbook.errors import ConfigError, Conflict, NotFound, Unavailable
from tollbook.pricing import PriceBook, release
from tollbook.pricing.catalogue import Catalogue
from tollbook.pricing.own import said
from tollbook.responses.usage import Usage
from tollbook.storage.prices import FILE, PriceTable

from .making import MILLION, NOW, at, catalogue, deployment, entry

DAY = 86_400 * 10**9


class Clock:
    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(tmp_path: Path, clock: Clock) -> Iterator[PriceTable]:
    made = PriceTable(tmp_path, clock=clock)
    yield made
    made.close()


def add(table: PriceTable, one: PriceEntry) -> int:
    row = {"model": one.model, "tier": one.tier, "valid_from": one.valid_from, "valid_until": one.valid_until}
    number: int = table.set({**row, "said": said(one)}, actor="test", check=lambda _: None)["number"]
    return number


def started(table: PriceTable, usd: str = "1", version: str = "test 1", *entries: PriceEntry) -> PriceBook:
    """A book of a gateway that has just started."""
    book = PriceBook(lambda: catalogue(usd, version), table=table, keeps=True)
    book.warm([deployment()], entries)
    book.close()
    return book


def eventually(happens: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def usd(book: Any, when: int = NOW, usage: Usage = MILLION) -> str | None:
    found: str | None = book.price("openai", "m", usage, at=when).usd
    return found


class TestFollowing:
    def test_a_price_set_by_another_process_counts_within_a_second(self, table: PriceTable, tmp_path: Path) -> None:
        book = started(table)
        assert usd(book) == "1"
        other = PriceTable(tmp_path)
        begun = time.monotonic()
        add(other, entry("openai/m", "5", valid_from=0))
        other.close()

        assert eventually(lambda: usd(book) == "5")
        assert time.monotonic() - begun < 2

    def test_an_end_counts_as_well(self, table: PriceTable, clock: Clock) -> None:
        book = started(table)
        number = add(table, entry("openai/m", "5", valid_from=0))
        assert eventually(lambda: usd(book) == "5")
        table.end(number, NOW, actor="test")

        assert eventually(lambda: usd(book) == "1")
        assert usd(book, when=NOW - 1) == "5"

    def test_a_configuration_with_another_list_counts_at_once(self, table: PriceTable) -> None:
        book = started(table)
        book.warm(prices=[entry("openai/m", "7")])

        assert usd(book) == "7"
        with pytest.raises(ConfigError):
            book.warm(prices=[PriceEntry(model="openai/m", prices={"input_cost_per_token": -1})])
        assert usd(book) == "7", "what is refused changes nothing"

    def test_a_row_that_cannot_be_applied_is_told_and_the_others_go_on(
        self, table: PriceTable, caplog: pytest.LogCaptureFixture
    ) -> None:
        book = started(table)
        add(table, entry("openai/m", "5", valid_from=0))
        assert eventually(lambda: usd(book) == "5")
        strange = {"model": "openai/m", "valid_from": 1, "said": {"price_of_tomorrow": 1}}
        with caplog.at_level(logging.ERROR):
            table.set(strange, actor="test", check=lambda _: None)
            assert eventually(lambda: usd(book) == "5" and "price_of_tomorrow" in caplog.text)

    def test_calls_are_priced_while_the_table_is_gone(
        self, table: PriceTable, caplog: pytest.LogCaptureFixture
    ) -> None:
        book = started(table)
        table.close()
        with caplog.at_level(logging.ERROR):
            assert eventually(lambda: usd(book) == "1" and "cannot be read" in caplog.text)

    def test_threads_never_see_half_a_list(self, table: PriceTable) -> None:
        book = started(table)
        add(table, entry("openai/m", "5", valid_from=0))
        seen: set[str | None] = set()
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                seen.add(usd(book))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(40):
            book.warm(prices=[entry("openai/*", "7")] if number % 2 else [])
        assert eventually(lambda: "5" in seen)
        stop.set()
        for thread in threads:
            thread.join()

        assert seen <= {"1", "5", "7"}


class TestQuestions:
    def test_known_and_bound_are_cheap_and_change_nothing(self, table: PriceTable) -> None:
        book = started(table)

        assert book.known(deployment())
        assert not book.known(deployment(model="nobody-knows"))
        assert book.bound(deployment(), Usage(input=1000, output=1000)).total == 1_000_000 + 10_000_000
        assert book.bound(deployment(model="nobody-knows"), MILLION).version == "no price:openai/nobody-knows"
        assert table.rows() == []


class TestWhatCountedBefore:
    def test_a_book_of_a_time_knows_the_release_and_the_prices_of_that_time(
        self, table: PriceTable, clock: Clock
    ) -> None:
        started(table, "1", "test 1")
        clock.now += DAY
        number = add(table, entry("openai/m", "5", valid_from=0))
        clock.now += DAY
        started(table, "2", "test 2")
        clock.now += DAY
        table.end(number, None, actor="test")
        book = started(table, "2", "test 2")

        known = [book.as_of(NOW + days * DAY) for days in range(4)]

        assert [usd(edition) for edition in known] == ["1", "5", "5", "2"]
        assert usd(book) == "2"
        versions = [edition.price("openai", "m", MILLION, at=NOW).version for edition in known]
        assert versions == ["test 1", "own 1 from 1970-01-01", "own 1 from 1970-01-01", "test 2"]

    def test_the_list_of_the_configuration_is_part_of_it(self, table: PriceTable, clock: Clock) -> None:
        started(table, "1", "test 1", entry("openai/m", "3", valid_from=at(2026, 1, 1), discount="0.5"))
        clock.now += DAY
        book = started(table, "1", "test 1", entry("openai/m", "4"))
        clock.now += DAY
        book.warm(prices=[entry("openai/m", "9")])

        assert [usd(book.as_of(NOW + days * DAY)) for days in range(3)] == ["1.5", "4", "9"]

    def test_within_a_book_prices_are_chosen_by_the_time_of_the_call(self, table: PriceTable) -> None:
        book = started(table, "1", "test 1", entry("openai/m", "3", valid_from=NOW))

        assert [usd(book.as_of(NOW), when) for when in (NOW - 1, NOW)] == ["1", "3"]

    def test_another_release_can_be_asked_by_name(self, table: PriceTable, clock: Clock) -> None:
        started(table, "1", "test 1")
        clock.now += DAY
        book = started(table, "2", "test 2")

        assert usd(book.at_version("test 1")) == "1"
        assert [(kept.seen, kept.release) for kept in book.releases()] == [(NOW, "test 1"), (NOW + DAY, "test 2")]
        with pytest.raises(NotFound, match=r"no price catalogue 'test 3'\. Known: .*test 1, test 2"):
            book.at_version("test 3")

    def test_a_time_of_which_nothing_is_known_is_said_to_be(self, table: PriceTable) -> None:
        book = started(table)

        with pytest.raises(NotFound, match="Prices are recorded since 2026-11-01"):
            book.as_of(NOW - 1)
        with pytest.raises(NotFound, match="No prices are recorded yet"):
            PriceBook(catalogue).as_of(NOW)

    def test_a_start_with_the_same_is_recorded_once_and_one_that_only_looks_never(self, table: PriceTable) -> None:
        for _ in range(3):
            started(table)
        looking = PriceBook(lambda: catalogue("2", "test 2"), table=table)
        looking.warm(prices=[entry("openai/m", "3")])
        looking.close()

        assert len(table.editions()) == 1

    def test_several_workers_that_start_together_record_it_once(self, tmp_path: Path) -> None:
        tables = [PriceTable(tmp_path) for _ in range(4)]
        threads = [threading.Thread(target=started, args=(table,)) for table in tables]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(tables[0].editions()) == 1
        for table in tables:
            table.close()


class TestRelease:
    def test_the_whole_catalogue_comes_back_as_it_was_and_is_small(self) -> None:
        loaded = Catalogue.load()
        packed = release.pack(loaded.providers)
        again = release.unpack(packed)

        assert len(packed) < 200_000
        names = ("id", "match", "prices", "price_variants", "price_comments")
        for before, after in zip(loaded.providers, again, strict=True):
            assert (before.id, before.fallback_model_providers) == (after.id, after.fallback_model_providers)
            for one, other in zip(before.models, after.models, strict=True):
                assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not compressed",
            zlib.compress(b"no json"),
            zlib.compress(b"[1]"),
            zlib.compress(b"[2, []]"),
            zlib.compress(json.dumps([1, [{"Provider": {"id": 1, "surprise": 2}}]]).encode()),
            zlib.compress(json.dumps([1, [{"system": {"command": "true"}}]]).encode()),
            zlib.compress(("[1," + "[" * 100_000).encode()),
        ],
    )
    def test_bytes_that_are_no_release_are_refused(self, content: bytes) -> None:
        with pytest.raises(ConfigError, match="recorded price catalogue"):
            release.unpack(content)

    def test_nothing_but_prices_is_kept(self) -> None:
        loaded = catalogue()
        loaded.providers[0] = dataclasses.replace(loaded.providers[0], description="a story" * 1000)

        assert b"story" not in zlib.decompress(release.pack(loaded.providers))


class TestTheTable:
    def test_nothing_in_it_is_ever_changed(self, table: PriceTable, tmp_path: Path) -> None:
        add(table, entry("openai/m", "5", valid_from=0))
        started(table)
        with sqlite3.connect(tmp_path / FILE) as connection:
            for statement in (
                "UPDATE prices SET said = '{}'",
                "DELETE FROM prices",
                "DELETE FROM editions",
                "UPDATE releases SET content = x''",
                "DELETE FROM configurations",
            ):
                with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                    connection.execute(statement)
        connection.close()

    def test_who_did_it_when_is_in_the_row(self, table: PriceTable) -> None:
        number = add(table, entry("openai/m", "5", valid_from=0))
        table.end(number, NOW + DAY, actor="cli:bob", note="too dear")

        assert [(row["actor"], row["created"], row["closes"], row["note"]) for row in table.rows()] == [
            ("test", NOW, None, ""),
            ("cli:bob", NOW, number, "too dear"),
        ]

    def test_what_a_check_refuses_is_not_added(self, table: PriceTable) -> None:
        def refuse(_: Any) -> None:
            raise ConfigError("no")

        with pytest.raises(ConfigError):
            table.set({"model": "openai/m", "said": {}}, actor="test", check=refuse)
        assert table.rows() == []

    def test_only_a_price_that_holds_can_be_ended(self, table: PriceTable) -> None:
        number = add(table, entry("openai/m", "5", valid_from=0, valid_until=NOW))
        ended = table.end(number, NOW - DAY, actor="test")["number"]

        for wrong in (number + 10, ended):
            with pytest.raises(NotFound):
                table.end(wrong, NOW, actor="test")
        with pytest.raises(Conflict, match="has ended before"):
            table.end(number, NOW, actor="test")

    def test_it_is_readable_by_its_owner_only(self, table: PriceTable, tmp_path: Path) -> None:
        assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600

    def test_a_file_of_a_newer_layout_is_left_alone(self, tmp_path: Path) -> None:
        PriceTable(tmp_path).close()
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()

        with pytest.raises(ConfigError, match="newer Tollbook"):
            PriceTable(tmp_path)

    def test_a_file_that_is_no_table_is_told(self, tmp_path: Path) -> None:
        (tmp_path / FILE).write_bytes(b"not a database" * 100)

        with pytest.raises(Unavailable, match="table of prices cannot be used"):
            PriceTable(tmp_path)
