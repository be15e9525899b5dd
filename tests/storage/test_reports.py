"""What was spent is the same from the ledger, from rolled-up hours and from sealed days, and what plain Python adds up."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tollbook.call import UNPRICED, Attempt, Call, Cost, Line
from tollbook.errors import InvalidRequest
from tollbook.responses.ids import make_id
from tollbook.responses.usage import NO_USAGE, Usage
from tollbook.storage import facts, open_store
from tollbook.storage.duck import Row, Tables
from tollbook.storage.pack import entry as packed
from tollbook.storage.pack import unpack_facts
from tollbook.storage.reports import Reports
from tollbook.storage.spending import DIMENSIONS, MEASURES, Filters, Question, by_hours

START = datetime(2026, 3, 27, tzinfo=UTC)
"""Two days before clocks in Berlin were put forward."""

NOW = datetime(2026, 3, 31, 0, 10)  # noqa: DTZ001 - as the tables have it
_HOUR = 3_600_000_000_000


def nano(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def priced(input_tokens: int, output_tokens: int) -> Cost:
    lines = (Line("input", input_tokens, 2_000_000, input_tokens * 2000),)
    lines += (Line("output", output_tokens, 8_000_000, output_tokens * 8000),)
    return Cost("priced", lines, sum(line.amount for line in lines), "v1", "catalogue", input_rate=2_000_000)


def attempt(chance: random.Random, number: int, last: int, started: int) -> Attempt:
    answered = number == last
    usage = Usage(input=chance.randrange(5000), output=chance.randrange(500)) if answered else NO_USAGE
    known = chance.random() < 0.8
    return Attempt(
        number,
        chance.choice(["a", "b"]),
        chance.choice(["openai", "anthropic"]),
        "model",
        "initial" if number == 1 else "retry",
        started + number,
        ended=started + 10**9,
        outcome="completed" if answered else "failed",
        error_kind=None if answered else "server",
        usage=usage,
        cost=(priced(usage.input, usage.output) if known else UNPRICED) if answered else UNPRICED,
    )


def made_up(count: int, seed: int) -> list[Call]:
    chance = random.Random(seed)
    calls = []
    for _ in range(count):
        started = nano(START) + chance.randrange(int(timedelta(days=3.5).total_seconds() * 10**6)) * 1000
        tries = chance.choice([0, 1, 1, 1, 2, 3])
        outcome = "rejected" if not tries else chance.choice(["completed", "completed", "client_disconnected"])
        calls.append(
            Call(
                id=make_id("call"),
                operation=chance.choice(["create", "create", "create", "get"]),  # type: ignore[arg-type]
                started=started,
                ended=started + chance.randrange(1, 10**10),
                first_output=started + 10**8 if tries and chance.random() < 0.5 else None,
                stream=chance.random() < 0.5,
                model=chance.choice(["gpt", "claude"]),
                key_id=chance.choice(["key_1", "key_2", ""]),
                key_alias=chance.choice([None, "alice"]),
                team=chance.choice([None, "red", "blue"]),
                end_user=chance.choice([None, "ann", "bob"]),
                tags=tuple(chance.sample(["x", "y", "z"], chance.randrange(3))),
                outcome=outcome,  # type: ignore[arg-type]
                attempts=[attempt(chance, number, tries, started) for number in range(1, tries + 1)],
            )
        )
    return calls


def take(tables: Tables, calls: list[Call], sequence: int = 1) -> None:
    rows = []
    for call in calls:
        told = packed(call, None)
        rows.append(Row(told.recorded, facts.rows(unpack_facts(told.facts), told.recorded), None, None))
    tables.take(rows, journal="j", sequence=sequence)


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return made_up(600, 7)


@pytest.fixture(scope="module")
def rolled(calls: list[Call]) -> Iterator[Reports]:
    tables = Tables(None)
    take(tables, calls)
    reports = Reports(tables)
    while reports.roll(NOW):
        pass
    yield reports
    tables.close()


@pytest.fixture(scope="module")
def plain(calls: list[Call]) -> Iterator[Reports]:
    tables = Tables(None)
    take(tables, calls)
    yield Reports(tables)
    tables.close()


def reference(calls: list[Call], by: tuple[str, ...], zone: str | None, key: str | None = None) -> dict[Any, list[int]]:
    """Calls, attempts, input tokens, cost, unpriced attempts of each group, one row at a time."""
    groups: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for call in calls:
        if call.operation != "create" or (key is not None and call.key_id != key):
            continue
        day = datetime.fromtimestamp(call.started / 1e9, UTC).astimezone(ZoneInfo(zone)).date() if zone else None
        for tried in call.attempts or [None]:
            of: dict[str, Any] = {
                "key": call.key_id or None,
                "team": call.team,
                "model": call.model,
                "outcome": call.outcome,
                "end_user": call.end_user,
                "provider": tried.provider if tried else None,
            }
            tags: tuple[str | None, ...] = call.tags or (None,) if "tag" in by else (None,)
            for tag in tags:
                group = (day, *(tag if name == "tag" else of[name] for name in by))
                sums = groups[group]
                sums[0] += tried is None or tried is call.attempt
                if tried is not None:
                    sums[1] += 1
                    sums[2] += tried.usage.input_tokens
                    sums[3] += tried.cost.total or 0
                    sums[4] += tried.cost.status == "unpriced" and tried.usage.source != "none"
    return dict(groups)


def told(reports: Reports, question: Question, key: str | None = None) -> dict[Any, list[int]]:
    groups = {}
    for row in reports.spend(question, key):
        day = datetime.fromisoformat(row["day"]).date() if question.every else None
        sums = [row[name] or 0 for name in ("calls", "attempts", "input_tokens", "cost_nano", "unpriced")]
        groups[(day, *(row[name] for name in question.by))] = sums
    return groups


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("by", [(), ("key",), ("team", "model"), ("end_user",), ("tag",), ("provider", "outcome")])
def test_the_ledger_and_its_hours_tell_what_plain_python_adds_up(
    by: tuple[str, ...], zone: str | None, calls: list[Call], rolled: Reports, plain: Reports
) -> None:
    question = Question(by=by, every="day" if zone else None, zone=zone or "UTC")
    expected = reference(calls, by, zone)

    assert told(plain, question) == expected
    assert told(rolled, question) == expected


def test_a_key_sees_its_own(calls: list[Call], rolled: Reports, plain: Reports) -> None:
    question = Question(by=("model",))
    expected = reference(calls, ("model",), None, "key_1")

    assert told(rolled, question, "key_1") == told(plain, question, "key_1") == expected


@pytest.mark.parametrize(
    "values",
    [
        {"key": ["alice"]},
        {"key": ["key_2", ""]},
        {"team": ["", "red"]},
        {"tag": ["x", "y"]},
        {"tag": [""]},
        {"model": ["gpt"], "outcome": ["completed"]},
        {"end_user": ["ann"], "provider": ["openai"]},
    ],
)
def test_filters_mean_the_same_in_both(values: dict[str, list[str]], rolled: Reports, plain: Reports) -> None:
    for start in (nano(START), nano(START) + 5 * _HOUR, nano(START) + 1_234_567_000):
        question = Question(by=("model",), filters=Filters(start=start, end=start + 40 * _HOUR, values=values))
        assert rolled.spend(question, None) == plain.spend(question, None)


def test_hours_are_told_by_their_first_moment_also_when_clocks_are_put_back(plain: Reports) -> None:
    found = plain.spend(Question(every="hour", zone="Europe/Berlin"), None)

    moments = [row["hour"] for row in found]
    assert moments == sorted(set(moments))
    assert {(moment.minute, moment.second) for moment in moments} == {(0, 0)}
    kolkata = plain.spend(Question(every="hour", zone="Asia/Kolkata"), None)
    assert {row["hour"].minute for row in kolkata} == {30}


def test_only_whole_hours_of_known_things_come_from_hours() -> None:
    assert by_hours(Question(by=("key", "model"), every="day", zone="Europe/Berlin"))
    assert not by_hours(Question(by=("session",)))
    assert not by_hours(Question(every="day", zone="Asia/Kolkata"))
    assert not by_hours(Question(filters=Filters(start=1)))
    assert by_hours(Question(by=("key",), filters=Filters(start=_HOUR, values={"model": ["m"]})))
    assert not by_hours(Question(filters=Filters(values={"tag": ["x"]})))


@pytest.mark.parametrize("wrong", [{"by": ("colour",)}, {"zone": "Mars/Base"}, {"zone": "../x"}, {"zone": "\0"}])
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        Question(**wrong)


def test_a_late_call_is_rolled_and_sealed_again(tmp_path: Path) -> None:
    tables = Tables(None)
    reports = Reports(tables)
    early, late = made_up(60, 1), made_up(30, 2)
    take(tables, early)
    while reports.roll(NOW) or reports.seal(tmp_path, NOW):
        pass
    before = pl.read_parquet(tmp_path / "sealed" / "*.parquet").height
    take(tables, late, 2)
    while reports.roll(NOW) or reports.seal(tmp_path, NOW):
        pass
    sealed = pl.read_parquet(tmp_path / "sealed" / "*.parquet")
    everything = reports.spend(Question(), None)
    tables.read("DELETE FROM progress")
    from_ledger = Reports(tables).spend(Question(), None)
    tables.close()

    assert everything == from_ledger
    assert before < sealed.height == sum(len(each.attempts) or 1 for each in (*early, *late))
    assert oct((tmp_path / "sealed").stat().st_mode & 0o777) == "0o700"
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "sealed").iterdir()} == {"0o600"}


def test_a_frame_is_read_by_polars_with_its_types(rolled: Reports) -> None:
    everything = Filters(start=nano(START), end=nano(START) + 400 * _HOUR)
    frame = pl.read_ipc_stream(io.BytesIO(rolled.frame("ledger", everything, None)))
    hours = pl.read_ipc_stream(io.BytesIO(rolled.frame("hours", Filters(), "key_1")))

    assert frame.schema["started"] == pl.Datetime("us")
    assert frame.schema["cost_nano"] == frame.schema["input_tokens"] == pl.Int64
    assert frame.schema["tags"] == pl.List(pl.String)
    assert frame["started"].is_sorted()
    assert hours["key_id"].unique().to_list() == ["key_1"]
    assert hours["rows"].sum() > 0


def test_every_measure_is_told_of_nothing_at_all() -> None:
    tables = Tables(None)
    (row,) = Reports(tables).spend(Question(), None)
    tables.close()

    assert set(row) == set(MEASURES)
    assert row["cost_nano"] == row["calls"] == 0


def test_unknown_costs_are_not_zero(tmp_path: Path) -> None:
    tables = Tables(None)
    (unknown,) = [call for call in made_up(200, 3) if call.operation == "create" and call.cost.total is None][:1]
    take(tables, [unknown])
    (row,) = Reports(tables).spend(Question(), None)
    tables.close()

    assert (row["cost_nano"], row["unpriced"], row["calls"]) == (None, 1, 1)


async def test_a_store_seals_what_is_over_by_itself(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for call in made_up(20, 4):
        await store.record(call, None)
    await store.calls(key_id=None, limit=1, before=None)
    await store.close()
    store = open_store(tmp_path)  # looks at its start
    found = await store.spend(Question(by=tuple(name for name in DIMENSIONS if name != "tag")), None)
    today = datetime.now(UTC).date().isoformat()
    while ((await store.progress())["sealed"] or "") < today:
        pass
    await store.close()

    assert len(list((tmp_path / "sealed").glob("*.parquet"))) == 4
    assert sum(row["calls"] for row in found) > 0
