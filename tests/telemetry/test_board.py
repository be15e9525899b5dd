"""Several workers' metrics as one, over processes that come, go and are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tollbook.telemetry.board import FOLDER, Board, clear
from tollbook.telemetry.instruments import Instrument
from tollbook.telemetry.meter import Meter

CALLS = Instrument("calls", "counter", "{call}", "Calls.", ("kind",))
ACTIVE = Instrument("active", "gauge", "{call}", "Now.")
ALL = [CALLS, ACTIVE]
_spawn = multiprocessing.get_context("spawn")


def _worker(directory: Path, calls: int, ready: Event, over: Event) -> None:
    meter = Meter(ALL)
    meter.watch(ACTIVE, lambda: [((), 1)])
    board = Board(directory, "worker", meter, ALL)
    meter.record([(CALLS, ("x",), calls)])
    board.write()
    ready.set()
    over.wait(30)
    board.close()


@pytest.fixture
def worker(tmp_path: Path) -> Callable[[int], tuple[multiprocessing.Process, Event]]:
    def start(calls: int) -> tuple[multiprocessing.Process, Event]:
        ready, over = _spawn.Event(), _spawn.Event()
        process = _spawn.Process(target=_worker, args=(tmp_path, calls, ready, over))
        process.start()
        assert ready.wait(30)
        return process, over  # type: ignore[return-value]

    return start


def seen(board: Board) -> tuple[int, int | float]:
    """Calls and active ones, as any worker tells them."""
    snapshot = board.snapshot()
    return sum(total.value for _, total in snapshot.totals["calls"]), sum(n for _, n in snapshot.gauges["active"])


def test_the_dead_stay_in_the_sums_and_their_gauges_do_not(
    tmp_path: Path, worker: Callable[[int], tuple[multiprocessing.Process, Event]]
) -> None:
    board = Board(tmp_path, "me", Meter(ALL), ALL)
    killed, _ = worker(5)
    leaving, over = worker(7)
    assert seen(board) == (12, 2)

    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join(10)
    assert seen(board) == (12, 1)
    over.set()
    leaving.join(10)
    assert seen(board) == (12, 0)

    # One that starts now folds what the dead have left; nobody sees them twice, and no file of theirs stays.
    newcomer, over = worker(1)
    assert seen(board) == (13, 1)
    states = [path.name for path in (tmp_path / FOLDER).glob("*.state")]
    assert len(states) == 3, "the dead as one, the newcomer, and this process"
    over.set()
    newcomer.join(10)
    board.close()


def test_a_gateway_that_starts_anew_begins_at_zero(tmp_path: Path) -> None:
    meter = Meter(ALL)
    meter.record([(CALLS, ("x",), 3)])
    Board(tmp_path, "before", meter, ALL).close()

    clear(tmp_path)

    after = Board(tmp_path, "after", Meter(ALL), ALL)
    assert seen(after) == (0, 0)
    after.close()
    clear(tmp_path / "nothing-here")


def test_a_file_of_another_version_is_passed_over(tmp_path: Path) -> None:
    board = Board(tmp_path, "me", Meter(ALL), ALL)
    (tmp_path / FOLDER / "odd.state").write_bytes(b"\x93\x01\x02\x03")

    assert seen(board) == (0, 0)
    board.close()


def test_without_a_directory_there_is_one_worker() -> None:
    meter = Meter(ALL)
    meter.record([(CALLS, ("x",), 3)])
    board = Board(None, "me", meter, ALL)
    board.write()

    assert seen(board)[0] == 3
    board.close()
