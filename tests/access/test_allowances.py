"""Admitting and settling calls as a running gateway does: from event loops, with keys that change, with disks that fill."""

from __future__ import annotations

import asyncio
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollbook.access.admission import Bound
from tollbook.access.allowances import Allowances
from tollbook.access.keys import Keys
from tollbook.call import BACKGROUND, Attempt, Call, Cost
from tollbook.config.budgets import Budget, Limit
from tollbook.errors import BudgetExceeded, RateLimited, Unavailable
from tollbook.responses.usage import NO_USAGE, Usage
from tollbook.storage.allowances import AllowanceTable
from tollbook.storage.keys import KeyTable

from .tallies import DOLLAR, Clock, made

CENT = DOLLAR // 100
SOME = Usage(input=1)


class House:
    """Keys and allowances on a folder."""

    def __init__(self, folder: Path | None) -> None:
        self.clock = Clock()
        self.key_table = KeyTable(folder)
        self.keys = Keys(self.key_table)
        self.table = AllowanceTable(folder, clock=self.clock)
        self.allowances = Allowances(self.table, self.keys)
        self.number = 0

    def close(self) -> None:
        self.table.close()
        self.key_table.close()

    def call(self, **fields: object) -> Call:
        self.number += 1
        call = Call(id=f"call_{self.number}", operation="create", started=self.clock.now, model="gpt")
        for name, value in fields.items():
            setattr(call, name, value)
        return call

    async def admit(self, cost: int = CENT, tokens: int = 0, *, background: bool = False, **fields: object) -> Call:
        call = self.call(**fields)
        terms = self.allowances.terms(call, call.model)
        await self.allowances.admit(call, terms, Bound(cost, tokens), background=background)
        return call

    async def end(self, call: Call, cost: int | None = 0, usage: Usage = SOME) -> None:
        """As the books tell it; then wait until it is written."""
        status = "unpriced" if cost is None else "priced"
        call.attempts.append(
            Attempt(1, "d", "p", "m", "initial", 0, usage=usage, cost=Cost(status, total=cost), outcome="completed")
        )
        call.outcome = "completed"
        self.allowances.ends(call)
        await self.written()

    async def written(self) -> None:
        await self.table.run(lambda tally: None)

    def spent(self, budget: Budget) -> tuple[int, int]:
        (standing,) = self.allowances.standings([budget])
        return standing.state.spent, standing.state.reserved


@pytest.fixture(params=["disk", "memory"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path if request.param == "disk" else None)
    yield house
    house.close()


async def test_what_a_call_cost_is_spent_and_its_bound_is_free_again(house: House) -> None:
    budget = made(1)
    house.keys.configure([budget], [])

    call = await house.admit(30 * CENT)
    under_way = house.spent(budget)
    await house.end(call, 2 * CENT)
    house.allowances.ends(call)
    await house.written()

    assert under_way == (0, 30 * CENT)
    assert house.spent(budget) == (2 * CENT, 0), "being told twice is being told once"


async def test_a_refusal_says_which_budget_and_how_it_stands(house: House) -> None:
    house.keys.configure([made(1, name="pocket money")], [])
    await house.end(await house.admit(), DOLLAR)

    with pytest.raises(BudgetExceeded) as refused:
        await house.admit()

    error = refused.value
    assert (error.status, error.code, error.param) == (429, "budget_exceeded", None)
    assert error.retry_after == 12 * 3600
    assert error.headers["x-should-retry"] == "false"
    assert error.to_wire()["budget"] == {
        "id": "budget_pocket money",
        "scope": "global",
        "name": "pocket money",
        "amount_usd": "1",
        "spent_usd": "1",
        "reserved_usd": "0",
        "window": "day",
        "resets_at": "2026-03-06T00:00:00+00:00",
    }


async def test_a_refusal_for_calls_under_way_lets_clients_try_again(house: House) -> None:
    house.keys.configure([made(1)], [])
    await house.admit(DOLLAR)

    with pytest.raises(BudgetExceeded) as refused:
        await house.admit()

    assert refused.value.retry_after == 1
    assert "x-should-retry" not in refused.value.headers


async def test_a_budget_that_never_begins_again_asks_to_come_back_another_day(house: House) -> None:
    house.keys.configure([made(1, "total")], [])
    await house.end(await house.admit(), DOLLAR)

    with pytest.raises(BudgetExceeded) as refused:
        await house.admit()

    assert refused.value.retry_after == 86_400
    assert refused.value.budget["resets_at"] is None


async def test_what_has_no_known_price_costs_nothing_that_could_be_counted(house: House) -> None:
    budget = made(1)
    house.keys.configure([budget], [])

    await house.end(await house.admit(0), None)

    assert house.spent(budget) == (0, 0)


async def test_a_hedge_reserves_its_bound_too(house: House) -> None:
    budget = made(1)
    house.keys.configure([budget], [])
    call = await house.admit(10 * CENT)

    house.allowances.attempt_begins(call, Attempt(2, "d", "p", "m", "hedge", 0))
    house.allowances.attempt_begins(call, Attempt(3, "d", "p", "m", "retry", 0))
    await house.written()

    assert house.spent(budget) == (0, 20 * CENT)
    await house.end(call, 5 * CENT)
    assert house.spent(budget) == (5 * CENT, 0)


async def test_a_response_in_background_holds_its_bound_until_its_bill_comes_to_any_worker(
    house: House, tmp_path: Path
) -> None:
    budget = made(1)
    house.keys.configure([budget], [])
    _, key = house.keys.create("ci", max_parallel_requests=1)
    ordered = await house.admit(10 * CENT, background=True, key_id=key.id)
    await house.end(ordered, None, NO_USAGE)
    assert house.spent(budget) == (0, 10 * CENT)
    second = await house.admit(0, key_id=key.id)
    await house.end(second, 0)

    other = Allowances(house.table, house.keys)
    bill = house.call(id=ordered.id + BACKGROUND, outcome="completed")
    bill.attempts.append(Attempt(1, "d", "p", "m", "initial", 0, usage=Usage(input=1), cost=Cost("priced", total=CENT)))
    other.ends(bill)
    other.ends(bill)
    await house.written()

    assert house.spent(budget) == (CENT, 0)


async def test_a_background_response_that_nobody_asks_for_reserves_nothing_after_a_day(house: House) -> None:
    budget = made(1, "total")
    house.keys.configure([budget], [])
    ordered = await house.admit(10 * CENT, background=True)
    await house.end(ordered, None, NO_USAGE)

    house.clock.now += 25 * 3600 * 10**9
    await house.written()

    assert house.spent(budget) == (0, 0)
    bill = house.call(id=ordered.id + BACKGROUND, outcome="completed")
    bill.attempts.append(Attempt(1, "d", "p", "m", "initial", 0, usage=Usage(input=1), cost=Cost("priced", total=CENT)))
    house.allowances.ends(bill)
    await house.written()
    assert house.spent(budget) == (CENT, 0), "its bill counts all the same"


async def test_requests_a_minute_are_limited_and_told(house: House) -> None:
    _, key = house.keys.create("ci", rpm=2)

    first = await house.admit(key_id=key.id)
    await house.admit(key_id=key.id)
    with pytest.raises(RateLimited) as refused:
        await house.admit(key_id=key.id)

    assert first.limits == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "30s",
    }
    assert (refused.value.code, refused.value.retry_after) == ("rate_limited", 30)
    assert refused.value.message == "the key 'ci' is limited to 2 requests per minute."
    assert refused.value.headers["x-ratelimit-remaining-requests"] == "0"
    house.clock.now += 30 * 10**9
    await house.admit(key_id=key.id)


async def test_all_workers_share_a_limit_and_its_room(tmp_path: Path) -> None:
    one = House(tmp_path)
    _, key = one.keys.create("ci", rpm=3, max_parallel_requests=2)
    other = House(tmp_path)

    first = await one.admit(key_id=key.id)
    await other.admit(key_id=key.id)
    with pytest.raises(RateLimited, match="2 calls under way"):
        await one.admit(key_id=key.id)
    await one.end(first)
    await other.admit(key_id=key.id)
    with pytest.raises(RateLimited, match="3 requests per minute"):
        await one.admit(key_id=key.id)

    one.close()
    other.close()


async def test_tokens_a_minute_are_reserved_as_estimated_and_settled_as_used(house: House) -> None:
    _, key = house.keys.create("ci", tpm=1000)

    call = await house.admit(0, 600, key_id=key.id)
    assert call.limits["x-ratelimit-remaining-tokens"] == "400"
    await house.end(call, 0, Usage(input=50, output=50))
    call = await house.admit(0, 0, key_id=key.id)
    assert call.limits["x-ratelimit-remaining-tokens"] == "900"
    await house.end(call, 0, Usage(input=50, output=1000))

    with pytest.raises(RateLimited) as refused:
        await house.admit(0, 0, key_id=key.id)

    assert refused.value.message == "the key 'ci' is limited to 1000 tokens per minute."
    assert refused.value.retry_after == pytest.approx(9.06, abs=0.1), "150 tokens too many, and one"


async def test_the_tightest_limit_is_told(house: House) -> None:
    house.keys.configure([], [Limit(scope="global", subject="", rpm=100), Limit(scope="model", subject="gpt", rpm=10)])

    call = await house.admit()

    assert call.limits["x-ratelimit-limit-requests"] == "10"


async def test_calls_at_the_same_time_are_limited(house: House) -> None:
    _, key = house.keys.create("ci", max_parallel_requests=2)

    one, two = await house.admit(key_id=key.id), await house.admit(key_id=key.id)
    with pytest.raises(RateLimited) as refused:
        await house.admit(key_id=key.id)
    await house.end(one)

    assert refused.value.code == "rate_limited"
    assert "2 calls under way" in refused.value.message
    await house.admit(key_id=key.id)
    await house.end(two)


async def test_a_refused_call_uses_nothing_of_any_limit(house: House) -> None:
    _, key = house.keys.create("ci", rpm=2, budgets=[{"amount": 0, "span": "day"}])

    for _ in range(5):
        with pytest.raises(BudgetExceeded):
            await house.admit(key_id=key.id)

    house.keys.budgets.change("key:ci:day", {"amount": 1}, actor="cli")
    call = await house.admit(key_id=key.id)
    assert call.limits["x-ratelimit-remaining-requests"] == "1"


async def test_a_soft_limit_is_noted_on_each_call_and_logged_once_in_a_window(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.keys.configure([made(1, soft=0.5, name="pocket")], [])
    with caplog.at_level(logging.WARNING):
        first = await house.admit()
        await house.end(first, 60 * CENT)
        for _ in range(3):
            later = await house.admit()
            await house.end(later, CENT)
        assert (first.notes, later.notes) == ([], ["budget pocket: $0.62 of $1 spent"])
        assert [record.getMessage() for record in caplog.records] == [
            "tollbook.budget.threshold: the budget 'pocket' has spent $0.6 of $1"
        ]
        assert getattr(caplog.records[0], "event.name") == "tollbook.budget.threshold"

        house.clock.now += 86_400 * 10**9
        await house.end(await house.admit(), 60 * CENT)

    assert len(caplog.records) == 2, "the next day it is news again"


async def test_five_hundred_at_once_wait_for_a_few_commits_and_nobody_blocks_the_loop(house: House) -> None:
    budget = made(1)
    house.keys.configure([budget], [])
    lag = 0.0

    async def watch() -> None:
        nonlocal lag
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.001)
            lag = max(lag, loop.time() - before)

    watching = asyncio.create_task(watch())
    results = await asyncio.gather(*(house.admit(3 * CENT) for _ in range(500)), return_exceptions=True)
    watching.cancel()

    admitted = [result for result in results if isinstance(result, Call)]
    assert len(admitted) == 34
    assert house.spent(budget) == (0, 34 * 3 * CENT)
    assert all(isinstance(result, BudgetExceeded) for result in results if not isinstance(result, Call))
    assert lag < 1.0
    for call in admitted:
        house.allowances.ends(call)
    await house.written()
    assert house.spent(budget) == (0, 0)


async def test_a_call_that_is_cancelled_while_it_asks_holds_nothing_in_the_end(house: House) -> None:
    budget = made(1)
    house.keys.configure([budget], [])
    call = house.call()
    asking = asyncio.create_task(house.allowances.admit(call, house.allowances.terms(call, "gpt"), Bound(CENT, 0)))
    await asyncio.sleep(0)

    asking.cancel()
    await asyncio.wait([asking])
    call.outcome = "client_disconnected"
    house.allowances.ends(call)
    await house.written()

    assert house.spent(budget) == (0, 0)


async def test_several_event_loops_share_one_table(house: House) -> None:
    budget = made(1)
    house.keys.configure([budget], [])

    def elsewhere() -> None:
        async def work() -> None:
            await house.end(await house.admit(CENT), CENT)

        asyncio.run(work())

    await asyncio.gather(*(asyncio.to_thread(elsewhere) for _ in range(5)))

    assert house.spent(budget) == (5 * CENT, 0)


async def test_a_budget_that_begins_again_has_spent_nothing_and_keeps_what_is_reserved(house: House) -> None:
    budget = made(1, scope="end_user", subject="*")
    house.keys.configure([budget], [])
    await house.end(await house.admit(end_user="ann"), DOLLAR)
    await house.admit(2 * CENT, end_user="bob")

    await asyncio.to_thread(house.allowances.reset, budget)

    assert house.spent(budget) == (0, 2 * CENT)
    await house.admit(end_user="ann")


async def test_the_end_users_of_a_budget_stand_apart(house: House) -> None:
    budget = made(1, scope="end_user", subject="*")
    house.keys.configure([budget], [])
    await house.end(await house.admit(end_user="ann"), 3 * CENT)
    await house.end(await house.admit(end_user="bob"), 5 * CENT)
    await house.admit(2 * CENT, end_user="eve")
    await house.admit(2 * CENT)

    (standing,) = house.allowances.standings([budget])

    assert [(each.account.partition("\x1f")[2], each.spent, each.reserved) for each in standing.each] == [
        ("bob", 5 * CENT, 0),
        ("ann", 3 * CENT, 0),
        ("eve", 0, 2 * CENT),
    ]
    assert (standing.subjects, standing.state.spent, standing.state.reserved) == (3, 8 * CENT, 2 * CENT)


async def test_what_was_left_behind_is_settled_by_what_the_books_say(tmp_path: Path) -> None:
    before = House(tmp_path)
    budget = made(1)
    before.keys.configure([budget], [])
    known, unknown = await before.admit(), await before.admit()
    before.close()
    after = House(tmp_path)
    after.keys.configure([budget], [])
    asked = []

    async def cost_of(call_id: str) -> int | None:
        asked.append(call_id)
        return 7 * CENT if call_id == known.id else None

    assert after.spent(budget) == (0, 2 * CENT)
    assert await after.allowances.recover(cost_of, given_up=set()) == (1, {unknown.id})
    assert after.spent(budget) == (7 * CENT, CENT), "another worker may be about to book the other one"
    assert await after.allowances.recover(cost_of, given_up={unknown.id}) == (1, set())
    assert await after.allowances.recover(cost_of) == (0, set())
    assert sorted(asked) == sorted([known.id, unknown.id, unknown.id])
    assert after.spent(budget) == (7 * CENT, 0)
    after.close()


async def test_a_closed_table_refuses_and_an_end_told_too_late_harms_nobody(house: House) -> None:
    house.keys.configure([made(1)], [])
    call = await house.admit()
    house.table.close()

    house.allowances.ends(call)
    with pytest.raises(Unavailable):
        await house.admit()


_FULL = """
import asyncio, resource, sys
from pathlib import Path
from tests.access.tallies import made, DOLLAR
from tests.access.test_allowances import House
from tollbook.errors import Unavailable

async def main():
    house = House(Path(sys.argv[1]))
    budget = made(1000)
    house.keys.configure([budget], [])
    calls = [await house.admit(DOLLAR // 100) for _ in range(50)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        await house.admit()
    except Unavailable as refused:
        print("refused", refused.code)
    for call in calls:
        house.allowances.ends(call)
    await house.written()
    print("reserved", house.spent(budget)[1] // (DOLLAR // 100))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while house.spent(budget)[1]:
        await house.written()
        await asyncio.sleep(0.05)
    print("settled", house.spent(budget))
    house.close()

import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""


def test_a_full_disk_refuses_new_calls_and_what_ended_meanwhile_is_settled_when_there_is_room(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 0
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        check=False,
    )

    assert done.stdout.splitlines() == ["refused storage_unavailable", "reserved 50", "settled (0, 0)"], done.stderr
    assert done.stderr.count("cannot be settled") < 5
