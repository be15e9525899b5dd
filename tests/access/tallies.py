"""Budgets and tallies as the tests of allowances make them: real files, a clock that is set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tollbook.access.admission import Bound, Crossing, Tally, Verdict, admit, settle, state
from tollbook.access.rules import Money, Rules, Terms
from tollbook.config.budgets import Budget, Limit, Scope, budget
from tollbook.config.windows import SECOND, window

DOLLAR = 1_000_000_000
NOON = 1_772_712_000 * SECOND
"""5 March 2026, 12:00 UTC."""


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: int = NOON

    def __call__(self) -> int:
        return self.now


def made(
    amount: float,
    span: str = "day",
    *,
    scope: Scope = "global",
    subject: str = "",
    soft: float | None = None,
    zone: str | None = None,
    name: str | None = None,
) -> Budget:
    """A budget of `amount` dollars."""
    known = name or f"{scope}:{subject}:{span}"
    return budget(
        id=f"budget_{known}",
        name=known,
        scope=scope,
        subject=subject,
        amount=int(amount * DOLLAR),
        window=window(span, zone),
        soft=soft,
    )


def terms(*budgets: Budget) -> Terms:
    return Terms(tuple(Money(each.id, each) for each in budgets))


@dataclass
class Counter:
    """Admits and settles by the rules of some budgets and limits."""

    rules: Rules

    def admit(self, call_id: str, terms: Terms, cost: int, tokens: int = 0) -> Callable[[Tally], Verdict]:
        def job(tally: Tally) -> Verdict:
            return admit(tally, call_id, terms, Bound(cost, tokens))

        return job

    def settle(
        self, call_id: str, cost: int, tokens: int | None = 0, *, late: bool = False
    ) -> Callable[[Tally], list[Crossing]]:
        def job(tally: Tally) -> list[Crossing]:
            return settle(tally, call_id, cost, tokens, self.rules.budget_of, self.rules.limit_of, late=late)

        return job


def counter(*budgets: Budget, limits: tuple[Limit, ...] = ()) -> Counter:
    return Counter(Rules(budgets=budgets, limits=limits))


def standing(budget: Budget) -> Callable[[Tally], tuple[int, int]]:
    """Spent and reserved of a budget that all share."""

    def job(tally: Tally) -> tuple[int, int]:
        found = state(tally, Money(budget.id, budget))
        return found.spent, found.reserved

    return job
