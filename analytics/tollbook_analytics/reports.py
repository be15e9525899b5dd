"""All reports by name, each with what it heeds: for the command line, for pages, and for whoever lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TypeAlias

import polars as pl

from .anomalies import LOOKED_AT, anomalies, reach
from .budgets import budgets, burn_down
from .cache import Missed, cache
from .conversations import conversation, conversations, turns
from .economics import economics
from .errors import ReportError
from .forecast import HISTORY, forecast, month_end
from .latency import latency, latency_bands, latency_cost
from .overview import overview
from .prices import drift, reconcile, unpriced, versions
from .reliability import errors, reliability
from .spend import spend
from .tokens import tokens
from .waste import waste
from .whatif import Plan, what_if
from .window import DAY, Every, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a report. Each heeds some of it (`Report.heeds`)."""

    now: datetime
    window: Window
    by: tuple[str, ...] = ()
    every: Every | None = None
    top: int | None = None
    session: str = ""
    limits: pl.DataFrame | None = None
    """`budgets.BUDGETS`."""
    rates: pl.DataFrame | None = None
    """`whatif.RATES`."""
    plan: Plan | None = None
    statement: pl.DataFrame | None = None
    """`prices.STATEMENT`."""

    @property
    def zone(self) -> str:
        """Whose days and months count."""
        return self.window.zone


Make: TypeAlias = Callable[[pl.LazyFrame, Question], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Report:
    """A report by its name. `reach` is the time that the ledger it gets must hold."""

    summary: str
    make: Make
    heeds: frozenset[str] = frozenset(("window", "by", "every"))
    """Names of `Question`'s fields, without `now`."""
    assumes: Callable[[Question], tuple[str, ...]] = field(default=lambda _: ())
    reach: Callable[[Question], Window] = field(default=lambda question: question.window)


def _plan(question: Question) -> Plan:
    if question.plan is None:
        raise ReportError("a what-if needs to know what goes where: --swap gpt=openai/gpt-5-mini")
    return question.plan


def _table(table: pl.DataFrame | None, words: str) -> pl.DataFrame:
    if table is None:
        raise ReportError(words)
    return table


def _limits(question: Question) -> pl.DataFrame:
    return _table(
        question.limits,
        "the limits are missing: --budgets FILE, a table with name, scope, subject, limit_nano and window",
    )


def _pages(question: Question) -> dict[str, Window]:
    told = {name: Window.named(name, question.now, question.zone) for name in ("today", "month")}
    return told | {"window": question.window}


def _hull(*windows: Window) -> Window:
    return Window(min(each.start for each in windows), max(each.end for each in windows), windows[0].zone)


def _before(days: timedelta) -> Callable[[Question], Window]:
    """The days before now, and the month that it is in."""

    def stretch(question: Question) -> Window:
        month = Window.named("month", question.now, question.zone)
        return _hull(month, Window(question.now - days, question.now, question.zone))

    return stretch


REPORTS: Mapping[str, Report] = {
    "overview": Report(
        "today, the month to date and the window, each beside the equal period before",
        lambda frame, asked: overview(frame, _pages(asked)),
        frozenset(("window",)),
        reach=lambda asked: _hull(*(each for page in _pages(asked).values() for each in (page, page.previous()))),
    ),
    "spend": Report(
        "calls, tokens and money, by anything and over time",
        lambda frame, asked: spend(frame, asked.window, asked.by, asked.every, top=asked.top),
        frozenset(("window", "by", "every", "top")),
    ),
    "tokens": Report(
        "tokens by kind, and what a million came to",
        lambda frame, asked: tokens(frame, asked.window, asked.by, asked.every),
    ),
    "cache": Report(
        "what prompt caches saved, cost, and might have saved",
        lambda frame, asked: cache(frame, asked.window, asked.by, asked.every),
        assumes=lambda _: Missed().assumptions,
    ),
    "waste": Report(
        "money for answers that nobody got", lambda frame, asked: waste(frame, asked.window, asked.by, asked.every)
    ),
    "reliability": Report(
        "how calls ended, and how often another attempt was needed",
        lambda frame, asked: reliability(frame, asked.window, asked.by, asked.every),
    ),
    "errors": Report(
        "what went wrong, and where", lambda frame, asked: errors(frame, asked.window, asked.by, asked.every)
    ),
    "latency": Report(
        "how long clients waited: p50, p95, p99",
        lambda frame, asked: latency(frame, asked.window, asked.by, asked.every),
    ),
    "latency-cost": Report(
        "speed beside price, by model unless told otherwise",
        lambda frame, asked: latency_cost(frame, asked.window, asked.by or ("model",)),
        frozenset(("window", "by")),
    ),
    "latency-bands": Report(
        "calls by how long they took, with what they cost",
        lambda frame, asked: latency_bands(frame, asked.window),
        frozenset(("window",)),
    ),
    "conversations": Report(
        "the dearest conversations: turns, growth, history sent again",
        lambda frame, asked: conversations(frame, asked.window, top=asked.top or 20),
        frozenset(("window", "top")),
    ),
    "conversation": Report(
        "the turns of one conversation (--session ID)",
        lambda frame, asked: conversation(frame, asked.window, asked.session),
        frozenset(("window", "session")),
    ),
    "turns": Report("what the n-th turn costs", lambda frame, asked: turns(frame, asked.window, asked.by, asked.every)),
    "economics": Report(
        "the cost of a call, an end user, a task, a success",
        lambda frame, asked: economics(frame, asked.window, asked.by, asked.every),
    ),
    "budgets": Report(
        "how far budgets are used, and when they will be gone (--budgets FILE)",
        lambda frame, asked: budgets(frame, _limits(asked), asked.now, asked.zone),
        frozenset(("limits",)),
        reach=_before(366 * DAY),
    ),
    "burn-down": Report(
        "what is left of budgets, day by day (--budgets FILE)",
        lambda frame, asked: burn_down(frame, _limits(asked), asked.now, asked.zone),
        frozenset(("limits",)),
        reach=_before(366 * DAY),
    ),
    "forecast": Report(
        "each day of the month: spent, or expected with an 80 % interval",
        lambda frame, asked: forecast(frame, asked.now, asked.zone),
        frozenset(),
        reach=_before(HISTORY * DAY),
    ),
    "month-end": Report(
        "what the month will have cost, with an 80 % interval",
        lambda frame, asked: month_end(frame, asked.now, asked.zone),
        frozenset(),
        reach=_before(HISTORY * DAY),
    ),
    "anomalies": Report(
        "days that cost far more than usual, and what that was made of",
        lambda frame, asked: anomalies(frame, asked.window, asked.by or LOOKED_AT),
        frozenset(("window", "by")),
        reach=lambda asked: reach(asked.window),
    ),
    "what-if": Report(
        "the same traffic at other rates (--swap MODEL=OTHER)",
        lambda frame, asked: what_if(
            frame, asked.window, _table(asked.rates, "the rates are missing: --rates FILE"), _plan(asked)
        ),
        frozenset(("window", "plan", "rates")),
        assumes=lambda asked: _plan(asked).assumptions,
    ),
    "unpriced": Report("what has no price", lambda frame, asked: unpriced(frame, asked.window), frozenset(("window",))),
    "versions": Report(
        "which prices were applied, and which are stale",
        lambda frame, asked: versions(frame, asked.window),
        frozenset(("window",)),
    ),
    "drift": Report(
        "when what a million tokens came to changed",
        lambda frame, asked: drift(frame, asked.window, asked.every or "day"),
        frozenset(("window", "every")),
    ),
    "reconcile": Report(
        "the books beside a provider's bill (--statement FILE)",
        lambda frame, asked: reconcile(
            frame,
            asked.window,
            _table(
                asked.statement,
                "the bill is missing: --statement FILE, a table with date, cost_nano, and maybe provider and model",
            ),
        ),
        frozenset(("window", "statement")),
    ),
}
"""Every report, in the order in which they are listed."""


def named(name: str) -> Report:
    """The report. Raises ReportError, with the nearest name, for one that there is not."""
    if name in REPORTS:
        return REPORTS[name]
    near = get_close_matches(name, REPORTS, 1)
    hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(REPORTS)}"
    raise ReportError(f"no report is called {name!r}: {hint}")
