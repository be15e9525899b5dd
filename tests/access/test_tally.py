"""The tally of reservations: what is admitted, held, settled and freed, whatever happens in between.

Real files, real processes.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tollbook.access.rules import Rules, Terms
from tollbook.config.windows import SECOND
from tollbook.errors import ConfigError
from tollbook.storage.allowances import AllowanceTable

from .tallies import DOLLAR, NOON, Clock, counter, made, standing, terms

CENT = DOLLAR // 100


# ── Whatever happens ────────────────────────────────────────────────────────────────────────────────────────────────────


class Tallies(RuleBasedStateMachine):
    """Three budgets of different windows; calls that draw on some of them; a model in plain Python that says what must be."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.latest = NOON
        self.budgets = [made(1, "1h"), made(2, "day", zone="Europe/Berlin"), made(5, "total")]
        self.count = counter(*self.budgets)
        self.table = AllowanceTable(Path(self.folder.name), clock=self.clock)
        self.spent: dict[str, list[tuple[int, int]]] = {budget.id: [] for budget in self.budgets}
        """(end of the piece, amount)"""
        self.held: dict[str, dict[str, int]] = {}
        self.at: dict[str, int] = {}
        self.orphans: set[str] = set()
        self.number = 0

    def teardown(self) -> None:
        self.table.close()
        self.folder.cleanup()

    def expected(self, budget_id: str) -> tuple[int, int]:
        budget = next(each for each in self.budgets if each.id == budget_id)
        since = budget.window.start(self.clock.now)
        spent = sum(amount for ends, amount in self.spent[budget_id] if ends > since)
        return spent, sum(held.get(budget_id, 0) for held in self.held.values())

    @rule(target=calls, which=st.sets(st.sampled_from([0, 1, 2]), min_size=1), cost=st.integers(0, 60))
    def admit(self, which: set[int], cost: int) -> str:
        self.number += 1
        call_id = f"call_{self.number}"
        chosen = [self.budgets[n] for n in sorted(which)]
        standings = {each.id: self.expected(each.id) for each in chosen}
        fits = all(sum(standings[each.id]) < each.amount for each in chosen)

        verdict = self.table.do(self.count.admit(call_id, terms(*chosen), cost * CENT))

        assert (verdict.refusal is None) is fits
        if fits:
            self.held[call_id] = {each.id: cost * CENT for each in chosen}
            self.at[call_id] = self.clock.now
        return call_id

    @rule(call_id=calls, cost=st.integers(0, 60))
    def settle(self, call_id: str, cost: int) -> None:
        """Also of calls that were refused, or settled before: nothing happens then."""
        self.table.do(self.count.settle(call_id, cost * CENT))
        self._settled(call_id, cost, self.clock.now)

    def _settled(self, call_id: str, cost: int, at: int) -> None:
        for budget_id in self.held.pop(call_id, {}):
            budget = next(each for each in self.budgets if each.id == budget_id)
            if cost:
                self.spent[budget_id].append((budget.window.grain(at)[1], cost * CENT))
        self.orphans.discard(call_id)

    @rule(seconds=st.integers(0, 20_000))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds * SECOND
        self.latest = max(self.latest, self.clock.now)

    @rule(seconds=st.integers(0, 3600))
    def the_clock_is_set_back(self, seconds: int) -> None:
        self.clock.now = max(self.clock.now - seconds * SECOND, self.latest - 3600 * SECOND)

    @rule()
    def the_process_ends_and_another_begins(self) -> None:
        """What is held at that moment is left behind, as after a kill."""
        self.table.close()
        self.orphans |= set(self.held)
        self.table = AllowanceTable(Path(self.folder.name), clock=self.clock)

    @rule(cost=st.integers(0, 60))
    def what_was_left_behind_is_settled(self, cost: int) -> None:
        """At the time at which it was reserved."""
        left = set(self.table.left_behind())
        assert left == self.orphans
        for call_id in left:
            self.table.do(self.count.settle(call_id, cost * CENT, None, late=True))
            self._settled(call_id, cost, self.at[call_id])
        assert self.table.left_behind() == []

    @invariant()
    def the_file_says_what_the_model_says(self) -> None:
        for budget in self.budgets:
            spent, reserved = self.table.read(standing(budget))

            assert (spent, reserved) == self.expected(budget.id)
            assert spent >= 0
            assert reserved >= 0

    @invariant()
    def no_budget_is_committed_beyond_its_amount_and_one_bound(self) -> None:
        """Settling may spend more than was reserved, but admitting never adds to what is beyond."""
        for budget in self.budgets:
            reserved = [held[budget.id] for held in self.held.values() if budget.id in held]
            assert sum(reserved) <= budget.amount + max(reserved, default=0)


TestTallies = Tallies.TestCase
TestTallies.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# ── A storm ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def storm(table: AllowanceTable, seed: int) -> tuple[int, int, int]:
    """500 calls at once on $1, some of which are refused and come again: (spent, committed at the most, largest bound)."""
    chance = random.Random(seed)
    budget = made(1, chance.choice(["1h", "day", "total"]), name=f"storm-{seed}")
    count = counter(budget)
    waiting = [f"call_{seed}_{number}" for number in range(500)]
    bounds = {call_id: chance.randrange(1, 8) * CENT for call_id in waiting}
    largest, most, spent = max(bounds.values()), 0, 0
    running: list[str] = []
    while waiting or running:
        if waiting and (not running or chance.random() < 0.6):
            call_id = waiting.pop(chance.randrange(len(waiting)))
            verdict = table.do(count.admit(call_id, terms(budget), bounds[call_id]))
            if verdict.refusal is None:
                running.append(call_id)
                most = max(most, sum(table.read(standing(budget))))
            elif not verdict.refusal.lasting:
                waiting.append(call_id)  # as a client does that is told to try again
        else:
            call_id = running.pop(chance.randrange(len(running)))
            cost = chance.randrange(0, bounds[call_id] + 1)
            table.do(count.settle(call_id, cost))
            spent += cost
    assert table.read(standing(budget)) == (spent, 0)
    return spent, most, largest


@pytest.mark.parametrize("seed", range(20))
def test_a_storm_on_a_dollar_spends_all_of_it_and_commits_at_most_one_bound_more(seed: int) -> None:
    table = AllowanceTable()
    spent, most, largest = storm(table, seed)
    table.close()

    assert most <= DOLLAR + largest
    assert DOLLAR <= spent <= DOLLAR + largest, "the whole dollar can be used"


_WORKER = """
import sys, random
from pathlib import Path
from tests.access.tallies import *
from tollbook.storage.allowances import AllowanceTable
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
budget = made(1, "day", name="shared")
count = counter(budget)
table = AllowanceTable(folder)
print("ready", flush=True)
sys.stdin.readline()
spent = most = 0
number = 0
while True:
    number += 1
    bound = chance.randrange(1, 8) * DOLLAR // 100
    verdict = table.do(count.admit(f"call_{seed}_{number}", terms(budget), bound))
    if verdict.refusal is not None:
        if verdict.refusal.lasting:
            break
        continue
    most = max(most, sum(table.read(standing(budget))))
    cost = chance.randrange(0, bound // 20)
    table.do(count.settle(f"call_{seed}_{number}", cost))
    spent += cost
table.close()
print(spent, most)
"""


def test_several_processes_share_one_dollar(tmp_path: Path) -> None:
    processes = [started(_WORKER, str(tmp_path), str(seed)) for seed in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [[int(number) for number in process.communicate(timeout=120)[0].split()] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    spent = sum(each[0] for each in told)
    largest = 7 * CENT
    assert max(each[1] for each in told) <= DOLLAR + largest
    assert DOLLAR <= spent <= DOLLAR + largest
    assert sum(each[0] > 0 for each in told) > 1, "nobody had it all"


def started(program: str, *arguments: str) -> Any:
    """A process of its own that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


_ROOT = Path(__file__).parents[2]


# ── kill -9 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_VICTIM = """
import sys, time
from pathlib import Path
from tests.access.tallies import *
from tollbook.storage.allowances import AllowanceTable
budget = made(1, "day")
count = counter(budget)
table = AllowanceTable(Path(sys.argv[1]), clock=Clock())
table.do(count.admit("call_settled", terms(budget), DOLLAR // 10))
table.do(count.settle("call_settled", DOLLAR // 20))
table.do(count.admit("call_open", terms(budget), DOLLAR // 10))
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_had_reserved_stays_reserved_until_it_is_settled_by_the_next(tmp_path: Path) -> None:
    budget = made(1, "day")
    count = counter(budget)
    victim = started(_VICTIM, str(tmp_path))
    table = AllowanceTable(tmp_path, clock=Clock())
    assert table.left_behind() == [], "it is alive"

    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()

    assert table.read(standing(budget)) == (DOLLAR // 20, DOLLAR // 10), "nothing acknowledged is lost"
    assert table.left_behind() == ["call_open"]
    table.do(count.settle("call_open", DOLLAR // 25, None, late=True))
    assert table.read(standing(budget)) == (DOLLAR // 20 + DOLLAR // 25, 0)
    assert table.left_behind() == []
    table.close()
    assert list((tmp_path / "workers").iterdir()) == []


# ── Rules of admission, one by one ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock, tmp_path: Path) -> Iterator[AllowanceTable]:
    table = AllowanceTable(tmp_path, clock=clock)
    yield table
    table.close()


def test_a_call_with_a_large_bound_is_let_in_as_long_as_anything_is_left(table: AllowanceTable) -> None:
    budget = made(1)
    count = counter(budget)
    table.do(count.admit("first", terms(budget), 0))
    table.do(count.settle("first", DOLLAR - 1))

    verdict = table.do(count.admit("large", terms(budget), 50 * DOLLAR))

    assert verdict.refusal is None


def test_all_budgets_are_reserved_or_none(table: AllowanceTable) -> None:
    large, small = made(10, name="large"), made(0, name="none")
    count = counter(large, small)

    verdict = table.do(count.admit("call", terms(large, small), CENT))

    assert verdict.refusal is not None
    assert verdict.refusal.state is not None
    assert verdict.refusal.state.budget is small
    assert table.read(standing(large)) == (0, 0)


def test_a_refusal_that_only_calls_under_way_cause_asks_to_come_again_in_a_second(table: AllowanceTable) -> None:
    budget = made(1)
    count = counter(budget)
    table.do(count.admit("first", terms(budget), DOLLAR))

    refusal = table.do(count.admit("second", terms(budget), CENT)).refusal

    assert refusal is not None
    assert (refusal.wait, refusal.lasting) == (SECOND, False)


@pytest.mark.parametrize(
    ("span", "zone", "hours"),
    [("day", None, 12), ("day", "Asia/Tokyo", 3), ("week", None, 84), ("total", None, None)],
)
def test_a_spent_budget_asks_to_come_again_when_its_window_ends(
    table: AllowanceTable, span: str, zone: str | None, hours: int | None
) -> None:
    """It is Thursday noon."""
    budget = made(1, span, zone=zone)
    count = counter(budget)
    table.do(count.admit("first", terms(budget), 0))
    table.do(count.settle("first", DOLLAR))

    refusal = table.do(count.admit("second", terms(budget), 0)).refusal

    assert refusal is not None
    assert refusal.lasting
    assert refusal.wait == (None if hours is None else hours * 3600 * SECOND)


def test_a_spent_rolling_budget_asks_to_come_again_when_enough_has_left_its_window(
    table: AllowanceTable, clock: Clock
) -> None:
    budget = made(1, "100s")
    count = counter(budget)
    for number, cost in enumerate([30 * CENT, 30 * CENT, 50 * CENT]):
        table.do(count.admit(f"call_{number}", terms(budget), 0))
        table.do(count.settle(f"call_{number}", cost))
        clock.now += 10 * SECOND
    # 110 cents were spent 30, 20 and 10 seconds ago; when the first 30 have left, 20 are free.
    refusal = table.do(count.admit("early", terms(budget), 0)).refusal
    assert refusal is not None
    assert refusal.wait == 71 * SECOND
    clock.now += refusal.wait - 1
    assert table.do(count.admit("still", terms(budget), 0)).refusal is not None

    clock.now += 1

    assert table.do(count.admit("then", terms(budget), 0)).refusal is None


def test_a_larger_amount_counts_at_once_and_what_was_spent_stays(table: AllowanceTable) -> None:
    before, after = made(1), made(2)
    count = counter(before)
    table.do(count.admit("first", terms(before), 0))
    table.do(count.settle("first", DOLLAR))
    assert table.do(count.admit("second", terms(before), 0)).refusal is not None

    assert table.do(count.admit("third", terms(after), 0)).refusal is None
    assert table.read(standing(after)) == (DOLLAR, 0)


def test_the_next_day_begins_anew_in_its_own_zone(table: AllowanceTable, clock: Clock) -> None:
    """Also on the day on which clocks leap: 23 hours after midnight the next one begins."""
    budget = made(1, "day", zone="Europe/Berlin")
    count = counter(budget)
    clock.now = budget.window.start(1_774_785_600 * SECOND)  # 29 March 2026, 0:00 in Berlin
    table.do(count.admit("first", terms(budget), 0))
    table.do(count.settle("first", DOLLAR))

    clock.now += 23 * 3600 * SECOND - 1
    assert table.do(count.admit("late", terms(budget), 0)).refusal is not None
    clock.now += 1
    assert table.do(count.admit("next", terms(budget), 0)).refusal is None


def test_a_clock_that_is_set_back_makes_nothing_negative_and_forgets_nothing(
    table: AllowanceTable, clock: Clock
) -> None:
    budgets = [made(1, span) for span in ("1h", "day", "month", "total")]
    count = counter(*budgets)
    table.do(count.admit("first", terms(*budgets), 0))
    table.do(count.settle("first", DOLLAR))

    clock.now -= 40 * 86_400 * SECOND

    for budget in budgets:
        assert table.read(standing(budget)) == (DOLLAR, 0)
        assert table.do(count.admit(f"call_{budget.id}", terms(budget), 0)).refusal is not None


def test_what_is_too_old_for_its_window_is_removed_from_the_file(table: AllowanceTable, clock: Clock) -> None:
    budget = made(1000, "1h")
    count = counter(budget)
    for number in range(500):
        clock.now += 60 * SECOND
        table.do(count.admit(f"call_{number}", terms(budget), 0))
        table.do(count.settle(f"call_{number}", CENT))

    pieces = table.read(lambda tally: tally.pieces(budget.id, -(2**62)))

    assert len(pieces) <= 122
    spent, _ = table.read(standing(budget))
    assert 60 * CENT <= spent <= 61 * CENT


def test_a_budget_that_is_gone_when_its_call_ends_counts_nothing(table: AllowanceTable) -> None:
    budget = made(1)
    table.do(counter(budget).admit("call", terms(budget), CENT))

    table.do(counter().settle("call", CENT))

    assert table.read(standing(budget)) == (0, 0)


def test_jobs_of_many_threads_are_done_one_after_the_other(table: AllowanceTable) -> None:
    budget = made(1)
    count = counter(budget)
    admitted: list[str] = []

    def ask(name: str) -> None:
        for number in range(40):
            call_id = f"{name}_{number}"
            if table.do(count.admit(call_id, terms(budget), CENT)).refusal is None:
                admitted.append(call_id)

    threads = [threading.Thread(target=ask, args=(f"thread{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(admitted) == 100
    assert table.read(standing(budget)) == (0, DOLLAR)


def test_a_newer_layout_stops_the_start(tmp_path: Path) -> None:
    AllowanceTable(tmp_path).close()
    with sqlite3.connect(tmp_path / "allowances.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(ConfigError, match="newer"):
        AllowanceTable(tmp_path)


def test_only_its_owner_may_read_what_was_spent(tmp_path: Path) -> None:
    table = AllowanceTable(tmp_path)
    budget = made(1)
    table.do(counter(budget).admit("call", terms(budget), CENT))

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    table.close()

    assert modes.pop("workers") == 0o700
    assert set(modes.values()) == {0o600}


def test_nothing_holds_without_rules() -> None:
    assert Rules().of("key_1", "team", "user", "gpt", "gpt") == Terms()
