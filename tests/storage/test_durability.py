"""What was acknowledged is there after a SIGKILL, once. Real processes, real files."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tollbook.errors import ConfigError, NotFound, Unavailable
from tollbook.storage import connect_store, open_store

from .contract import recorded
from .making import call, turn

_PROJECT = Path(__file__).parents[2]

_WRITER = """
import asyncio, os, sys
from pathlib import Path
from tollbook.storage import connect_store, open_store
from tests.storage.making import call, turn

async def main(directory, kind):
    store = open_store(Path(directory)) if kind == "local" else connect_store(Path(directory), worker=kind)
    async def one():
        of = call()
        made = turn(of)
        await store.record(of, made)
        os.write(1, f"{of.id} {made.response_id}\\n".encode())
    while True:
        await asyncio.gather(*(one() for _ in range(5)))

asyncio.run(main(*sys.argv[1:]))
"""

_RECORDER = """
import sys
from pathlib import Path
from tollbook.storage import serve_recorder
serve_recorder(Path(sys.argv[1]))
"""


def start(code: str, *arguments: object, output: Path | None = None) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_PROJECT), str(_PROJECT / "service")])}
    with open(output or os.devnull, "ab") as file:
        return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=file, env=environment)


def wait_until(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def acknowledged(output: Path) -> list[tuple[str, str]]:
    """What the writers printed, without a last line that was cut."""
    return [tuple(line.split()) for line in output.read_text().splitlines(keepends=True) if line.endswith("\n")]  # type: ignore[misc]


async def check(directory: Path, output: Path) -> None:
    """Everything that was acknowledged can be looked up, and nothing is there twice."""
    pairs = acknowledged(output)
    store = open_store(directory)
    for call_id, response_id in random.sample(pairs, min(len(pairs), 30)):
        assert (await store.call(call_id, "key_1"))["attempts"]
        assert (await store.turn(response_id, "key_1")).call_id == call_id
    await store.close()
    with duckdb.connect(str(directory / "tollbook.duckdb"), read_only=True) as tables:
        ids = [row[0] for row in tables.execute("SELECT call_id FROM ledger WHERE answered").fetchall()]
        turns = [row[0] for row in tables.execute("SELECT response_id FROM turns").fetchall()]
        attempts = tables.execute("SELECT count(*), count(DISTINCT (call_id, attempt)) FROM ledger").fetchall()[0]
        lines = tables.execute("SELECT count(*), count(DISTINCT call_id) FROM cost_lines").fetchall()[0]
    assert len(ids) == len(set(ids))
    assert len(turns) == len(set(turns))
    assert {call_id for call_id, _ in pairs} <= set(ids)
    assert {response_id for _, response_id in pairs} <= set(turns)
    assert attempts == (2 * len(ids), 2 * len(ids))
    assert lines == (2 * len(ids), len(ids))


async def kill_in_a_loop(directory: Path, times: int) -> None:
    output = directory / "acknowledged"
    output.touch()
    for _ in range(times):
        before = len(acknowledged(output))
        process = start(_WRITER, directory, "local", output=output)
        await asyncio.to_thread(wait_until, lambda before=before: len(acknowledged(output)) > before + 20)
        await asyncio.sleep(random.uniform(0, 0.6))
        kill(process)
    await check(directory, output)


async def test_nothing_acknowledged_is_missing_or_doubled_after_five_kills(tmp_path: Path) -> None:
    await kill_in_a_loop(tmp_path, 5)


@pytest.mark.slow
async def test_nothing_acknowledged_is_missing_or_doubled_after_fifty_kills(tmp_path: Path) -> None:
    await kill_in_a_loop(tmp_path, 50)


async def test_workers_acknowledge_while_the_recorder_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "acknowledged"
    output.touch()
    workers = [start(_WRITER, tmp_path, name, output=output) for name in ("1", "2")]
    for _ in range(3):
        before = len(acknowledged(output))
        recorder = start(_RECORDER, tmp_path)
        await asyncio.to_thread(wait_until, (tmp_path / "recorder.sock").exists)
        await asyncio.to_thread(wait_until, lambda before=before: len(acknowledged(output)) > before + 100)
        await asyncio.sleep(random.uniform(0, 0.5))
        kill(recorder)
        (tmp_path / "recorder.sock").unlink()
    for worker in workers:
        kill(worker)
    await check(tmp_path, output)


async def test_a_journal_that_was_taken_over_but_not_trimmed_is_not_counted_twice(tmp_path: Path) -> None:
    """As after a kill between the commit of the tables and the trim of the journal."""
    lone = connect_store(tmp_path, worker="7")  # without a recorder nothing is taken over
    made = [await recorded(lone) for _ in range(10)]
    await lone.close()
    journal = tmp_path / "journals" / "7.sqlite"
    shutil.copy(journal, tmp_path / "full.sqlite")
    for name in ("7.sqlite", "7.sqlite", "another-name.sqlite"):
        store = open_store(tmp_path)
        assert len(await store.calls(key_id=None, limit=100, before=None)) == 10
        assert await store.delete(made[-1].response_id, None) == made.pop()
        assert await store.turn(made[-1].response_id, None) == made[-1]
        await store.close()
        shutil.copy(tmp_path / "full.sqlite", tmp_path / "journals" / name)
    store = open_store(tmp_path)
    assert len(await store.calls(key_id=None, limit=100, before=None)) == 10
    for each in made:
        assert await store.turn(each.response_id, None) == each
    await store.close()
    with duckdb.connect(str(tmp_path / "tollbook.duckdb"), read_only=True) as tables:
        spent = tables.execute("SELECT count(*), sum(cost_nano), sum(cost_usd) FROM spend").fetchall()
        assert spent == [(20, 4_500_000, Decimal("0.0045"))]
        assert tables.execute("SELECT count(*) FROM turns").fetchall() == [(7,)]
        assert tables.execute("SELECT count(*) FROM deletions").fetchall() == [(3,)]


async def test_a_trimmed_journal_never_uses_a_sequence_number_twice(tmp_path: Path) -> None:
    for _ in range(3):
        store = open_store(tmp_path)
        made = await recorded(store)
        await store.close()

    store = open_store(tmp_path)
    assert await store.turn(made.response_id, None) == made
    assert len(await store.calls(key_id=None, limit=100, before=None)) == 3
    await store.close()


async def test_a_thousand_follow_ups_find_their_parent_while_the_tables_are_written(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    last = await recorded(store)
    for _ in range(1000):
        of = call(attempts=[])
        assert await store.turn(last.response_id, "key_1") == last
        last = turn(of, last if last.number < 10 else None)
        await store.record(of, last)
    await store.close()


async def test_old_content_is_removed_and_its_facts_stay(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    day = 86_400_000_000_000
    old = call(started=time.time_ns() - 3 * day)
    await store.record(old, turn(old, response_id="resp_old"))
    young = await recorded(store)
    await store.close()

    store = open_store(tmp_path, retention_days=2)
    for _ in range(100):
        try:
            await store.turn("resp_old", None)
        except NotFound:
            break
        await asyncio.sleep(0.05)
    with pytest.raises(NotFound):
        await store.turn("resp_old", None)
    assert await store.turn(young.response_id, None) == young
    assert (await store.call(old.id, None))["cost"]["nano_usd"] == 450_000
    await store.close()


async def test_a_store_without_content_keeps_only_facts(tmp_path: Path) -> None:
    store = open_store(tmp_path, content=False)
    of = call()
    await store.record(of, turn(of, response_id="resp_secret", input=[{"content": "marshmallow"}]))

    with pytest.raises(NotFound):
        await store.turn("resp_secret", None)
    assert (await store.call(of.id, None))["id"] == of.id
    await store.close()
    with duckdb.connect(str(tmp_path / "tollbook.duckdb"), read_only=True) as tables:
        assert tables.execute("SELECT count(*) FROM turns").fetchall() == [(0,)]


async def test_the_tables_have_one_owner(tmp_path: Path) -> None:
    process = start(_RECORDER, tmp_path)
    await asyncio.to_thread(wait_until, (tmp_path / "recorder.sock").exists)

    with pytest.raises(ConfigError, match=r"tollbook\.duckdb cannot be opened"):
        open_store(tmp_path, worker="9")
    assert not (tmp_path / "journals" / "9.sqlite").exists()

    process.terminate()
    assert await asyncio.to_thread(process.wait) == 0
    await open_store(tmp_path).close()


async def test_tables_of_a_newer_tollbook_are_left_alone(tmp_path: Path) -> None:
    await open_store(tmp_path).close()
    with duckdb.connect(str(tmp_path / "tollbook.duckdb")) as tables:
        tables.execute("UPDATE schema_version SET version = 99")

    with pytest.raises(ConfigError, match=r"newer Tollbook: its tables have version 99"):
        open_store(tmp_path)


async def test_a_broken_journal_is_left_alone_and_the_others_are_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lone = connect_store(tmp_path, worker="good")
    made = await recorded(lone)
    await lone.close()
    (tmp_path / "journals" / "broken.sqlite").write_bytes(b"this is no journal, whatever its name says" * 100)

    store = open_store(tmp_path)
    assert len(await store.calls(key_id=None, limit=10, before=None)) == 1
    assert await store.turn(made.response_id, None) == made
    await store.close()

    assert "broken.sqlite cannot be read and is left alone" in caplog.text
    assert (tmp_path / "journals" / "broken.sqlite").exists()


def modes_below(directory: Path) -> dict[str, int]:
    return {path.relative_to(directory).as_posix(): path.stat().st_mode & 0o777 for path in directory.rglob("*")}


async def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    umask = os.umask(0o022)
    try:
        store = open_store(directory)
        await recorded(store)
        await store.calls(key_id=None, limit=1, before=None)
        modes = modes_below(tmp_path)
        await store.close()
    finally:
        os.umask(umask)

    assert modes.pop("data") == modes.pop("data/journals") == 0o700
    assert {"data/tollbook.duckdb", "data/tollbook.duckdb.wal", "data/journals/0.sqlite"} <= set(modes)
    assert set(modes.values()) == {0o600}


_FULL = """
import asyncio, resource, sys
from pathlib import Path
from tollbook.errors import Unavailable
from tollbook.storage import open_store
from tests.storage.making import call, turn

async def main():
    store = open_store(Path(sys.argv[1]))
    async def record(size=100):
        of = call()
        made = turn(of, input=[{"type": "message", "content": random_text(size)}])
        await store.record(of, made)
        return made
    kept = [await record()]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
    told = None
    for _ in range(100):
        try:
            kept.append(await record(20_000))
        except Unavailable as error:
            told = error
            break
    assert told is not None and told.status == 503 and told.code == "storage_unavailable", told
    assert "storage is not available" in told.message
    await asyncio.sleep(2)  # the recorder fails as well, meanwhile
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    kept.append(await record(20_000))
    for made in kept:
        assert await store.turn(made.response_id, None) == made
    await asyncio.sleep(3)
    listed = await store.calls(key_id=None, limit=1000, before=None)
    assert len(listed) == len(kept), (len(listed), len(kept))
    for made in kept:
        assert await store.turn(made.response_id, None) == made
    await store.close()
    print("kept", len(kept))

def random_text(size):
    import os
    return os.urandom(size // 2).hex()

asyncio.run(main())
"""


async def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(tmp_path: Path) -> None:
    """The limit on file size stands for the disk: SQLite and DuckDB get the same refusal from the system."""
    output = tmp_path / "said"
    process = start(_FULL, tmp_path / "data", output=output)
    assert await asyncio.to_thread(process.wait, 60) == 0
    assert int(output.read_text().split()[1]) > 3


async def test_without_a_recorder_recording_works_and_lookups_say_what_is_wrong(tmp_path: Path) -> None:
    store = connect_store(tmp_path, worker="1")
    made = await recorded(store)
    for ask in (
        store.turn(made.response_id, None),
        store.chain(made.response_id, None),
        store.call(made.call_id, None),
    ):
        with pytest.raises(Unavailable, match="does not answer") as told:
            await ask
        assert (told.value.status, told.value.code) == (503, "storage_unavailable")

    recorder = start(_RECORDER, tmp_path)
    await asyncio.to_thread(wait_until, (tmp_path / "recorder.sock").exists)
    assert await store.turn(made.response_id, None) == made
    kill(recorder)
    another = await recorded(store)
    with pytest.raises(Unavailable):
        await store.turn(another.response_id, None)
    recorder = start(_RECORDER, tmp_path)
    for _ in range(200):
        try:
            found = await store.turn(another.response_id, None)
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    assert found == another
    recorder.terminate()
    await asyncio.to_thread(recorder.wait)
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.close()
    await store.close()

    with pytest.raises(Unavailable, match="closed"):
        await store.record(call(), None)
    with pytest.raises(Unavailable, match="closed"):
        await store.turn("resp_1", None)
