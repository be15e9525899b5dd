"""Whether a call is let in, what it holds until it ends, and what is counted then.

    A call is let in if, for each budget that it draws on, spent + reserved < amount before it is added. Then its bound is
    reserved: what it may cost at the most. When it ends, what it really cost is spent, and its bound is free again.

So what is spent and reserved never exceeds an amount by more than the bound of one call, and a call with a large bound is let in
as long as anything is left. Requests, tokens and calls at the same time follow the same rule. All that holds for a call is
reserved, or nothing.

These are functions over a `Tally`, which is one transaction of `storage/allowances.py`. Money is in nano-USD, times in
nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from tollbook.call import format_usd
from tollbook.config.budgets import Budget
from tollbook.config.windows import SECOND

from . import rates
from .rates import Bucket
from .rules import ROOM, TOKENS, Money, Rate, Terms


class Tally(Protocol):
    """What is counted, within one transaction; `now` is the same in all of it. May raise `sqlite3.Error`."""

    now: int

    def spent(self, account: str, since: int) -> int: ...

    def pieces(self, account: str, since: int) -> list[tuple[int, int]]: ...

    def spend(self, account: str, grain: tuple[int, int], amount: int, forget: int) -> None: ...

    def reserved(self, account: str) -> int: ...

    def hold(self, call_id: str, account: str, bound: int) -> None: ...

    def held(self, call_id: str) -> Sequence[tuple[str, int, int]]: ...

    def release(self, call_id: str) -> Sequence[tuple[str, int, int]]: ...

    def bucket(self, account: str) -> tuple[int, int]: ...

    def fill(self, account: str, full_at: int, seen: int) -> None: ...

    def warned(self, account: str) -> int: ...

    def warn(self, account: str) -> None: ...


class Bound(NamedTuple):
    """What a call may cost and use at the most, as far as one can tell before it."""

    cost: int
    tokens: int


class State(NamedTuple):
    """How a budget stands."""

    budget: Budget
    account: str
    spent: int
    reserved: int
    resets_at: int | None
    """When the window ends, or frees enough for another call. None when time alone changes nothing."""

    @property
    def left(self) -> int:
        return max(self.budget.amount - self.spent - self.reserved, 0)


class Refusal(NamedTuple):
    """Why a call is not let in. `wait` is nanoseconds after which it may be; None when no time helps.

    `lasting`: trying again at once cannot help, however many calls end.
    """

    message: str
    wait: int | None
    lasting: bool
    state: State | None = None
    """Of the budget that is exhausted; None where a limit of requests, tokens or calls is reached."""


class Left(NamedTuple):
    """What is left of a limit. `resets_in` is nanoseconds until all of it is there again."""

    kind: Literal["requests", "tokens"]
    limit: int
    remaining: int
    resets_in: int


class Verdict(NamedTuple):
    """Let in, if there is no refusal."""

    refusal: Refusal | None
    left: tuple[Left, ...]
    notes: tuple[str, ...] = ()


class Crossing(NamedTuple):
    """A soft limit that was passed."""

    account: str
    budget: Budget
    spent: int


def admit(tally: Tally, call_id: str, terms: Terms, bound: Bound) -> Verdict:
    """Let a call in and reserve what it needs, or refuse it and reserve nothing."""
    states = [state(tally, money) for money in terms.money]
    buckets = [_bucket(tally, rate.account) for rate in terms.rates]
    refusals = [
        *(refusal for each in states if (refusal := _short_of_money(each, tally.now)) is not None),
        *(
            Refusal(_too_fast(rate), rates.wait(bucket, rate.limit), lasting=False)
            for rate, bucket in zip(terms.rates, buckets, strict=True)
            if rates.remaining(bucket, rate.limit) < 1
        ),
        *(
            Refusal(f"{room.whose} has {room.limit} calls under way, which is its limit.", SECOND, lasting=False)
            for room in terms.rooms
            if tally.reserved(room.account) >= room.limit
        ),
    ]
    if refusals:
        return Verdict(max(refusals, key=_patience), _left(terms.rates, buckets))
    for money in terms.money:
        tally.hold(call_id, money.account, bound.cost)
    for room in terms.rooms:
        tally.hold(call_id, room.account, 1)
    used = []
    for rate, bucket in zip(terms.rates, buckets, strict=True):
        count = 1 if rate.kind == "requests" else bound.tokens
        used.append(after := rates.use(bucket, rate.limit, count))
        tally.fill(rate.account, *after)
        if rate.kind == "tokens":
            tally.hold(call_id, rate.account, count)
    notes = [
        _note(each) for each in states if each.budget.threshold is not None and each.spent >= each.budget.threshold
    ]
    return Verdict(None, _left(terms.rates, used), tuple(notes))


def more(tally: Tally, call_id: str) -> None:
    """Another attempt beside the first may cost as much again. It is not refused: its call was let in."""
    for account, bound, _ in tally.held(call_id):
        if not account.startswith((TOKENS, ROOM)):
            tally.hold(call_id, account, bound)


def settle(
    tally: Tally,
    call_id: str,
    cost: int,
    tokens: int | None,
    budget_of: Callable[[str], Budget | None],
    limit_of: Callable[[str], int | None],
    *,
    late: bool = False,
) -> list[Crossing]:
    """The call has ended: what it cost is spent, and what it held is free. Doing so twice is doing so once.

    `late` counts the money at the time at which it was reserved: for calls of a process that did not live to see their end.
    `tokens` None leaves those that were expected.
    """
    crossings: list[Crossing] = []
    for account, bound, at in tally.release(call_id):
        if account.startswith(ROOM):
            continue
        if account.startswith(TOKENS):
            limit = limit_of(account)
            if limit is not None and tokens is not None:
                bucket = _bucket(tally, account)
                tally.fill(account, *rates.use(bucket, limit, tokens - bound))
            continue
        budget = budget_of(account)
        if budget is None or cost <= 0:
            continue
        window = budget.window
        tally.spend(account, window.grain(at if late else tally.now), cost, window.forgotten(tally.now))
        if (crossing := _crossing(tally, account, budget)) is not None:
            crossings.append(crossing)
    return crossings


def state(tally: Tally, money: Money) -> State:
    """How a budget stands now."""
    account, budget = money
    window, now = budget.window, tally.now
    since = window.start(now)
    spent = tally.spent(account, since)
    resets_at = window.end(now)
    if window.kind == "rolling" and spent >= budget.amount:
        resets_at = _frees_at(tally.pieces(account, since), budget, spent)
    return State(budget, account, spent, tally.reserved(account), resets_at)


def left(tally: Tally, rate: Rate) -> Left:
    """What is left of a limit now."""
    return _remaining(rate, _bucket(tally, rate.account))


def _frees_at(pieces: list[tuple[int, int]], budget: Budget, spent: int) -> int | None:
    """When so much has left the window that a call is let in again."""
    for ends, amount in pieces:
        spent -= amount
        if spent < budget.amount:
            return budget.window.frees_at(ends)
    return None


def _short_of_money(state: State, now: int) -> Refusal | None:
    budget = state.budget
    if state.spent + state.reserved < budget.amount:
        return None
    spent, amount = format_usd(state.spent), format_usd(budget.amount)
    if state.spent < budget.amount:
        reserved = format_usd(state.reserved)
        message = (
            f"What is left of the budget {budget.name!r} is reserved by calls under way (${reserved}, of ${amount})."
        )
        return Refusal(message, SECOND, lasting=False, state=state)
    wait = None if state.resets_at is None else max(state.resets_at - now, 0)
    return Refusal(f"The budget {budget.name!r} is spent: ${spent} of ${amount}.", wait, lasting=True, state=state)


def _too_fast(rate: Rate) -> str:
    return f"{rate.whose} is limited to {rate.limit} {rate.kind} per minute."


def _patience(refusal: Refusal) -> float:
    return float("inf") if refusal.wait is None else float(refusal.wait)


def _left(limits: tuple[Rate, ...], buckets: list[Bucket]) -> tuple[Left, ...]:
    """For each kind the limit of which the least share is left."""
    tightest: dict[str, tuple[float, Left]] = {}
    for rate, bucket in zip(limits, buckets, strict=True):
        found = _remaining(rate, bucket)
        share = found.remaining / rate.limit
        if rate.kind not in tightest or share < tightest[rate.kind][0]:
            tightest[rate.kind] = (share, found)
    return tuple(found for _, found in tightest.values())


def _remaining(rate: Rate, bucket: Bucket) -> Left:
    return Left(rate.kind, rate.limit, max(rates.remaining(bucket, rate.limit), 0), rates.until_full(bucket))


def _bucket(tally: Tally, account: str) -> Bucket:
    return rates.as_of(Bucket(*tally.bucket(account)), tally.now)


def _note(state: State) -> str:
    return f"budget {state.budget.name}: ${format_usd(state.spent)} of ${format_usd(state.budget.amount)} spent"


def _crossing(tally: Tally, account: str, budget: Budget) -> Crossing | None:
    """The soft limit of an account, if it is passed and nothing was said of it in this window."""
    threshold = budget.threshold
    if threshold is None:
        return None
    since = budget.window.start(tally.now)
    spent = tally.spent(account, since)
    if spent < threshold or tally.warned(account) > since:
        return None
    tally.warn(account)
    return Crossing(account, budget, spent)
