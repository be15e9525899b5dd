"""Budgets and limits of a running gateway: who asks for a call is let in or refused, and when it ends it is settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

from tollbook.call import BACKGROUND, Attempt, Call, format_usd
from tollbook.config.budgets import Budget
from tollbook.config.windows import SECOND
from tollbook.errors import BudgetExceeded, RateLimited, TollbookError, Unavailable

from . import admission, rates
from .admission import Bound, Crossing, Left, Refusal, State, Tally, Verdict
from .keys import Keys
from .rules import NO_TERMS, ROOM, Money, Rate, Terms, accounts_of, subject_of

T = TypeVar("T")

NEVER = 86_400.0
"""Seconds to wait when no time helps: "not today"."""

MOST_COST = 1_000_000 * 1_000_000_000
"""Nano-USD that one call reserves or spends at the most: a million dollars. Sums of it fit into 64 bits."""
MOST_TOKENS = 1_000_000_000
SHOWN = 100
"""End users of a budget that are shown, those who spent the most."""

_log = logging.getLogger("tollbook.budget")


class Books(Tally, Protocol):
    """A tally that can also be looked into and put right."""

    def accounts(self, prefix: str) -> list[str]: ...

    def shares(self, prefix: str, since: int) -> list[tuple[str, int, int]]: ...

    def reset(self, account: str) -> None: ...

    def hand_over(self, call_id: str, to: str, *, without: str) -> None: ...


class Table(Protocol):
    """Where it is counted: storage/allowances.py. A job is one transaction."""

    async def run(self, job: Callable[[Any], T]) -> T: ...

    def post(self, job: Callable[[Any], T], done: Callable[[T], None] | None = None) -> None: ...

    def do(self, job: Callable[[Any], T]) -> T: ...

    def read(self, job: Callable[[Any], T]) -> T: ...

    def left_behind(self) -> list[str]: ...


class Standing(NamedTuple):
    """A budget and how it stands; for one that each end user has, all of them together and the first of them apart."""

    state: State
    each: tuple[State, ...] = ()
    subjects: int = 0
    """How many end users spent or reserved something."""


class Allowances:
    """Admits calls and settles them; an `Observer` of the books.

    A call for which no budget and no limit holds costs a look into a dictionary. Others wait for one commit before they are
    asked, and for nothing afterwards.
    """

    def __init__(self, table: Table, keys: Keys, *, output_tokens: int = 16_384) -> None:
        self.output_tokens = output_tokens
        """What a call is expected to answer at the most, where it does not say."""
        self._table = table
        self._keys = keys
        self._held: dict[str, bool] = {}
        """Calls that hold something, and whether their response is made in background."""

    def terms(self, call: Call, really: str) -> Terms:
        """What holds for a call. `really` is the model's name where the call names an alias of it."""
        return self._keys.rules.of(call.key_id, call.team, call.end_user, call.model, really)

    async def admit(self, call: Call, terms: Terms, bound: Bound, *, background: bool = False) -> None:
        """Let a call in, and reserve its bound until the books are told of its end.

        Raises BudgetExceeded and RateLimited with everything that a client needs to act on it, and Unavailable when budgets
        cannot be read: what cannot be counted is not let through.
        """
        if terms == NO_TERMS:
            return
        needs = Bound(max(0, min(bound.cost, MOST_COST)), max(0, min(bound.tokens, MOST_TOKENS)))
        # Before the question: whoever is cancelled while it is asked may hold something all the same.
        self._held[call.id] = background
        verdict: Verdict = await self._table.run(lambda tally: admission.admit(tally, call.id, terms, needs))
        call.limits = _headers(verdict)
        call.notes.extend(verdict.notes)
        if verdict.refusal is not None:
            self._held.pop(call.id, None)
            raise _refused(verdict.refusal, call.limits)

    # ---------------------------------------------------------------------------------------------------- as an observer

    def begins(self, call: Call) -> None:
        """Nothing is held yet."""

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        """An attempt beside the first one may cost as much again."""
        if attempt.reason == "hedge" and call.id in self._held:
            self._post(partial(_more, call.id))
        return {}

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:
        """What it cost is counted when the call ends."""

    def ends(self, call: Call) -> None:
        """The call is booked: what it cost is spent, what it held is free."""
        background = self._held.pop(call.id, None)
        if background is None and not call.id.endswith(BACKGROUND):
            return
        if background and call.outcome == "completed" and call.usage.source == "none":
            # It is still being made: the call that bills it will settle it, whichever worker hears of its end.
            self._post(lambda tally: tally.hand_over(call.id, call.id + BACKGROUND, without=ROOM))
            return
        cost, tokens = known_cost(call), sum(attempt.usage.total_tokens for attempt in call.attempts)
        self._post(lambda tally: self._settle(tally, call.id, cost, tokens), _warn)

    async def recover(
        self, cost_of: Callable[[str], Awaitable[int | None]], *, given_up: Collection[str] | None = None
    ) -> tuple[int, set[str]]:
        """Settle what processes left behind that did not live to do so: how many calls that were, and which ones wait.

        `cost_of` says what a call cost in nano-USD, None where the books know nothing of it. Then nothing is spent, if it is
        among those `given_up` (None: all of them), else it waits for another time. The money counts at the time at which it was
        reserved.
        """
        settled, waiting = 0, set()
        for call_id in await asyncio.to_thread(self._table.left_behind):
            cost = await cost_of(call_id)
            if cost is None and given_up is not None and call_id not in given_up:
                waiting.add(call_id)
                continue
            job = partial(self._settle, call_id=call_id, cost=cost or 0, tokens=None, late=True)
            _warn(await self._table.run(job))
            settled += 1
        return settled, waiting

    # ----------------------------------------------------------------------------------------------------------- reports

    def standings(self, budgets: Sequence[Budget]) -> list[Standing]:
        """How budgets stand, of one moment. Uses the disk: an event loop calls it in a thread."""
        return self._table.read(lambda tally: [_standing(tally, budget) for budget in budgets])

    def limits(self, terms: Terms) -> list[tuple[Rate, Left]]:
        """The limits a minute that hold for somebody, and what is left of them. Uses the disk."""
        return self._table.read(lambda tally: [(rate, admission.left(tally, rate)) for rate in terms.rates])

    def reset(self, budget: Budget) -> None:
        """Nothing was spent of a budget. What calls under way reserve stays reserved. Uses the disk."""

        def job(tally: Books) -> None:
            own, of_users = accounts_of(budget)
            for account in (own, *tally.accounts(of_users)):
                tally.reset(account)

        self._table.do(job)

    # ------------------------------------------------------------------------------------------------------------ within

    def _settle(
        self, tally: Tally, call_id: str, cost: int, tokens: int | None, *, late: bool = False
    ) -> list[Crossing]:
        rules = self._keys.rules
        return admission.settle(
            tally, call_id, min(cost, MOST_COST), tokens, rules.budget_of, rules.limit_of, late=late
        )

    def _post(self, job: Callable[[Any], T], done: Callable[[T], None] | None = None) -> None:
        # Closed: the process ends, and the next one settles what is left.
        with suppress(Unavailable):
            self._table.post(job, done)


def known_cost(call: Call) -> int:
    """What is known of a call's cost, in nano-USD: attempts without a known price cost nothing that could be counted."""
    return sum(attempt.cost.total or 0 for attempt in call.attempts)


def _more(call_id: str, tally: Tally) -> None:
    admission.more(tally, call_id)


def _standing(tally: Books, budget: Budget) -> Standing:
    own, of_users = accounts_of(budget)
    if budget.scope != "end_user":
        return Standing(admission.state(tally, Money(own, budget)))
    shares = tally.shares(of_users, budget.window.start(tally.now))
    ends = budget.window.end(tally.now)
    whole = State(budget, own, sum(spent for _, spent, _ in shares), sum(held for _, _, held in shares), ends)
    each = tuple(State(budget, account, spent, held, ends) for account, spent, held in shares[:SHOWN])
    return Standing(whole, each, len(shares))


def _warn(crossings: Sequence[Crossing]) -> None:
    """One event for a soft limit that was passed: once in a window."""
    for account, budget, spent in crossings:
        subject = subject_of(account)
        _log.warning(
            "tollbook.budget.threshold: the budget %r%s has spent $%s of $%s",
            budget.name,
            f" of the end user {subject!r}" if subject else "",
            format_usd(spent),
            format_usd(budget.amount),
            extra={
                "event.name": "tollbook.budget.threshold",
                "tollbook.budget.id": budget.id,
                "tollbook.budget.name": budget.name,
                "tollbook.budget.scope": budget.scope,
                "tollbook.budget.amount_usd": budget.amount / 1e9,
                "tollbook.budget.spent_usd": spent / 1e9,
            },
        )


def _refused(refusal: Refusal, headers: Mapping[str, str]) -> TollbookError:
    wait = NEVER if refusal.wait is None else refusal.wait / SECOND
    if refusal.state is None:
        return RateLimited(refusal.message, code="rate_limited", retry_after=wait, headers=headers)
    told = dict(headers)
    if refusal.lasting:
        # Clients try a 429 again by themselves; this one cannot end otherwise before its time.
        told["x-should-retry"] = "false"
    return BudgetExceeded(refusal.message, budget=facts(refusal.state), retry_after=wait, headers=told)


def facts(state: State) -> dict[str, Any]:
    """How a budget stands, for machines. Amounts are exact decimals as text, times RFC 3339."""
    budget = state.budget
    return {
        "id": budget.id,
        "scope": budget.scope,
        "name": budget.name,
        "amount_usd": format_usd(budget.amount),
        "spent_usd": format_usd(state.spent),
        "reserved_usd": format_usd(state.reserved),
        "window": budget.window.text,
        "resets_at": moment(state.resets_at),
    }


def moment(nanoseconds: int | None) -> str | None:
    """A time as RFC 3339, in UTC."""
    return None if nanoseconds is None else datetime.fromtimestamp(nanoseconds / SECOND, UTC).isoformat()


def _headers(verdict: Verdict) -> dict[str, str]:
    """As OpenAI tells its own (https://platform.openai.com/docs/guides/rate-limits)."""
    found: dict[str, str] = {}
    for left in verdict.left:
        found[f"x-ratelimit-limit-{left.kind}"] = str(left.limit)
        found[f"x-ratelimit-remaining-{left.kind}"] = str(left.remaining)
        found[f"x-ratelimit-reset-{left.kind}"] = rates.told(left.resets_in)
    return found
